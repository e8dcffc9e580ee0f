"""Evaluates a trained run again, in this process, from its last complete checkpoint."""

import dataclasses
from pathlib import Path

from rich.console import Console

from comm.errors import BadInput
from runtime.devices import device_name, portion_of, settle
from runtime.job import job_of
from runtime.opening import moved, recorded
from runtime.run_dir import RunDir
from runtime.silence import Silence
from runtime.summary import results_table
from workers import checkpoint, schedule
from workers.drive import drive
from workers.grid import hire


def evaluate(root: Path, data_dir: Path | None, console: Console) -> int:
    """Print the accuracies of the run in `root` on its test images; the exit code.

    Raises BadInput if there is no run, no complete checkpoint, or its data is gone.
    """
    run_dir = RunDir(root)
    config, plan = recorded(root)
    found = checkpoint.complete_turns(run_dir.checkpoints, plan.grid, plan.digest)
    if not found:
        raise BadInput([f"{root}: the run has no complete checkpoint yet"])
    last = found[-1]
    device = settle(portion_of(0, 1, config.run.threads), device_name(config.run.device, 0))
    config, data = moved(root, config, plan, data_dir)
    job = job_of(config, plan, data, device, last.turn)
    turns = schedule.evaluation(
        epoch=-(-last.step // job.feed.steps_per_epoch),
        step=last.step,
        split="test",
        turns=job.feed.eval_steps("test"),
    )
    job = dataclasses.replace(job, schedule=turns, start=0, save_every=None)
    listening = Silence()
    drive(hire(job, dict.fromkeys(plan.grid, listening)))
    results = [dataclasses.asdict(result) for result in listening.results]
    console.print(results_table(results))
    console.print(f"{listening.results[0].images} test images, after step {last.step}")
    return 0
