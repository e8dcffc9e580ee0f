"""Evaluates a trained run again, in this process, from its last complete checkpoint."""

import dataclasses
from pathlib import Path

from rich.console import Console
from rich.text import Text

from comm.errors import BadInput
from runtime.devices import at_hand, device_name, portion_of, settle
from runtime.job import job_of
from runtime.recorded import moved, recorded
from runtime.run_dir import RunDir
from runtime.silence import Silence
from runtime.summary import results_table
from workers import schedule
from workers.drive import drive
from workers.grid import hire
from workers.shelf import Shelf


def evaluate(root: Path, data_dir: Path | None, console: Console) -> int:
    """Print the accuracies of the run in `root` on its test images; the exit code.

    Raises BadInput if there is no run, no complete checkpoint, or its data is gone.
    """
    run_dir = RunDir(root)
    config, plan = recorded(root)
    found = Shelf(root=run_dir.checkpoints, grid=plan.grid, plan=plan.digest).newest()
    last = found.note
    if last is None:
        raise BadInput([*found.words, f"{root}: the run has no complete checkpoint"])
    for word in found.words:
        console.print(Text(word))
    name = at_hand(config.run.device)
    if name != config.run.device:
        console.print("the run was made on a GPU, and torch sees none here: evaluated on the CPU")
    threads = (config.run.threads or 0) * plan.grid.processes  # as many as all of it had
    device = settle(portion_of(0, 1, threads or None), device_name(name, 0))
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
