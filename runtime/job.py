"""From a run that may start to the job its workers share."""

from pathlib import Path

import torch

from partition.plan import Plan
from runtime.config import Config
from runtime.run_dir import RunDir
from workers import schedule
from workers.data.feed import Feed
from workers.data.prepared import Prepared
from workers.job import Job
from workers.schedule import Schedule


def schedule_of(config: Config, feed: Feed) -> Schedule:
    """All turns of a run."""
    return schedule.training(
        epochs=config.optim.epochs,
        steps_per_epoch=feed.steps_per_epoch,
        max_steps=config.optim.max_steps,
        eval_every=config.run.eval_every,
        eval_turns={split: feed.eval_steps(split) for split in feed.splits},
    )


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
