"""From a run that may start to the job its workers share."""

from pathlib import Path

import torch

from comm.errors import BadInput
from partition.plan import Plan
from runtime.config import Config
from runtime.run_dir import RunDir
from workers import checkpoint, schedule
from workers.data.feed import Feed
from workers.data.prepared import Prepared
from workers.job import Job
from workers.schedule import Schedule, Split


def schedule_of(config: Config, feed: Feed) -> Schedule:
    """All turns of a run."""
    turns: dict[Split, int] = {"test": feed.eval_steps("test")}
    if config.data.val_split > 0:
        turns["val"] = feed.eval_steps("val")
    return schedule.training(
        epochs=config.optim.epochs,
        steps_per_epoch=feed.steps_per_epoch,
        max_steps=config.optim.max_steps,
        eval_every=config.run.eval_every,
        eval_turns=turns,
    )


def start_of(config: Config, plan: Plan) -> int:
    """The turn to begin with: 0, or where the last complete checkpoint of a resumed run ended."""
    if config.run.resume is None:
        return 0
    root = RunDir(config.run.resume)
    if not root.plan.exists():  # it ended before it began
        return 0
    if Plan.from_json(root.plan.read_bytes()).digest != plan.digest:
        raise BadInput(
            [
                f"--resume {root.root}: the plan drawn now is not the one recorded there "
                "(the data or the code changed)"
            ]
        )
    found = checkpoint.complete_turns(root.checkpoints, plan.grid, plan.digest)
    return found[-1].turn if found else 0


def job_of(config: Config, plan: Plan, data: Path, device: torch.device, start: int) -> Job:
    """The job of one process."""
    feed = Feed(Prepared(data), config.data, seed=config.run.seed, dtype=getattr(torch, plan.dtype))
    return Job(
        plan=plan,
        method=config.method,
        optim=config.optim,
        schedule=schedule_of(config, feed),
        seed=config.run.seed,
        feed=feed,
        device=device,
        checkpoints=None if config.run.run_dir is None else RunDir(config.run.run_dir).checkpoints,
        save_every=config.run.save_every,
        # a run with replay can not go on, as what its rows have stored is nowhere written down
        save_minutes=0.0 if plan.replay else config.run.save_minutes,
        start=start,
        restore=start,
        sleep=config.run.sleep,
    )
