"""Evaluates a trained run again, in this process, from its last complete checkpoint."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from comm.errors import BadInput
from partition.plan import Plan
from runtime.devices import at_hand, device_name, portion_of, settle
from runtime.fitted import Sentence
from runtime.headline import accuracy, headline, reported
from runtime.job import job_of
from runtime.recorded import moved, recorded
from runtime.run_dir import RunDir
from runtime.silence import Silence
from runtime.summary import results_table
from workers import schedule
from workers.ballot import Result
from workers.drive import drive
from workers.grid import hire


def evaluate(root: Path, data_dir: Path | None, console: Console, *, json: bool = False) -> int:
    """Print the accuracies of the run in `root` on its test images; the exit code.

    Raises BadInput if there is no run, no complete checkpoint, or its data is gone.
    """
    run_dir = RunDir(root)
    config, plan = recorded(root)
    found = run_dir.shelf(plan).newest()
    last = found.note
    if last is None:
        raise BadInput([*found.words, f"{root}: the run has no complete checkpoint"])
    words = Console(stderr=True, soft_wrap=True) if json else console
    for word in found.words:
        words.print(Text(word))
    name = at_hand(config.run.device)
    if name != config.run.device:
        words.print("the run was made on a GPU, and torch sees none here: evaluated on the CPU")
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
    (result,) = listening.results
    if json:
        print(msgspec.json.format(msgspec.json.encode(_plain(plan, result)), indent=2).decode())
        return 0
    console.print(results_table(plan, [dataclasses.asdict(result)]))
    console.print(Text())
    console.print(Sentence(f"{result.images} test images, weights of step {last.step}"))
    console.print(Sentence(headline(plan, result), style="bold"))
    return 0


def _plain(plan: Plan, result: Result) -> dict[str, Any]:
    """The evaluation as it is written down; `accuracy` is the one that `reported` says."""
    return {
        "accuracy": accuracy(plan, result),
        "reported": reported(plan),
        **dataclasses.asdict(result),
    }
