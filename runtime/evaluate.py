"""Evaluates a trained run again, in this process, from its last complete checkpoint."""

import dataclasses
from pathlib import Path

from rich.console import Console

from comm.errors import BadInput
from partition.plan import Plan
from runtime import config as configs
from runtime.devices import device_name, settle, share_of
from runtime.job import job_of
from runtime.run_dir import RunDir
from runtime.summary import results_table
from workers import checkpoint, schedule
from workers.ballot import Result
from workers.data.prepare import prepare
from workers.drive import drive
from workers.grid import hire


class _Listening:
    """Keeps the results of an evaluation; there are no lessons."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def lesson(self, **_: object) -> None:
        """Never called: nothing is learnt."""

    def result(self, turn: int, result: Result) -> None:
        """One evaluation."""
        self.results.append(result)


def evaluate(root: Path, console: Console) -> int:
    """Print the accuracies of the run in `root` on its test images; the exit code.

    Raises BadInput if there is no run, no complete checkpoint, or its data is gone.
    """
    run_dir = RunDir(root)
    if not run_dir.config.exists() or not run_dir.plan.exists():
        raise BadInput([f"{root}: no run is recorded there; name a run directory"])
    config = configs.from_json(run_dir.config.read_bytes())
    plan = Plan.from_json(run_dir.plan.read_bytes())
    found = checkpoint.complete_turns(run_dir.checkpoints, plan.grid, plan.digest)
    if not found:
        raise BadInput([f"{root}: the run has no complete checkpoint yet"])
    last = found[-1]
    device = settle(share_of(0, 1, config.run.threads), device_name(config.run.device, 0))
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, run_dir=root))
    job = job_of(config, plan, prepare(config.data), device, last.turn)
    turns = schedule.evaluation(
        epoch=-(-last.step // job.feed.steps_per_epoch),
        step=last.step,
        split="test",
        turns=job.feed.eval_steps("test"),
    )
    listening = _Listening()
    workers = hire(job, dict.fromkeys(plan.grid, listening))
    drive([worker.evaluating(turns) for worker in workers])
    results = [dataclasses.asdict(result) for result in listening.results]
    console.print(results_table(results))
    console.print(f"{listening.results[0].images} test images, after step {last.step}")
    return 0
