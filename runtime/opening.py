"""Opens a run: settles its configuration, checks everything, claims its directory.

The same for a run of our own processes, one under torchrun, and one in lockstep.
"""

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from comm.errors import BadInput
from partition.plan import Plan
from runtime import config as configs
from runtime.config import Config
from runtime.job import schedule_of, start_of
from runtime.memory import memory_problems
from runtime.ready import Ready, make_ready
from runtime.run_dir import RunDir, default_run_dir
from runtime.table import plan_table
from runtime.ticket import Ticket
from workers import checkpoint
from workers.data.feed import Feed
from workers.data.prepare import prepare
from workers.data.prepared import Prepared


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A run that may begin at turn `start` of `turns`."""

    ready: Ready
    run_dir: RunDir
    start: int
    turns: int

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.start >= self.turns

    @property
    def line(self) -> str:
        """What to begin with: a line, and what was chosen for the run, if anything needs a word."""
        plan, resumed = self.ready.plan, self.ready.config.run.resume is not None
        ends = f"{plan.method} {plan.network} {plan.grid}: {self.run_dir.root}"
        if self.complete:
            return f"{self.run_dir.root} is complete: there is nothing to go on with"
        if resumed and not self.start:
            return f"{ends}, from the beginning: it has no complete checkpoint"
        if resumed:
            return f"{ends}, from batch {self.start} of {self.turns}"
        return "\n".join((ends, *self.ready.notes))

    def ticket(
        self,
        *,
        rank: int,
        local_rank: int,
        local_processes: int,
        run_id: str,
        generation: int = 0,
        session: Path | None = None,
    ) -> Ticket:
        """What the process of `rank` is told at its start."""
        ready = self.ready
        return Ticket(
            config=configs.to_json(ready.config).decode(),
            plan=ready.plan.to_json().decode(),
            data=str(ready.data),
            digest=ready.digest,
            run_dir=str(self.run_dir.root),
            run_id=run_id,
            generation=generation,
            rank=rank,
            local_rank=local_rank,
            local_processes=local_processes,
            start=self.start,
            session=str(session) if session else None,
        )


def open_run(
    config: Config,
    *,
    writes: bool = True,
    expect: tuple[str, ...] = (),
    ranks: Sequence[int] | None = None,
) -> Opened:
    """Check and claim what is settled. Only one process of a run `writes`, the others rely on it.

    `ranks` are the processes that this host will run; all of them, if nothing is said. Raises
    BadInput with every problem, `expect` included, before anything is started.
    """
    assert config.run.run_dir is not None
    run_dir, resume = RunDir(config.run.run_dir), config.run.resume is not None
    problems = [*expect, *(run_dir.problems(resume=resume) if writes else ())]
    ready = make_ready(config, expect=problems)
    hosted = range(ready.plan.grid.processes) if ranks is None else ranks
    if too_much := memory_problems(ready.plan, hosted):
        raise BadInput(too_much)
    start = start_of(ready.config, ready.plan)
    if writes:
        _claim(run_dir, ready, start)
    config = ready.config
    feed = Feed(Prepared(ready.data), config.data, seed=config.run.seed)
    turns = len(schedule_of(config, feed))
    return Opened(ready=ready, run_dir=run_dir, start=start, turns=turns)


def settled(config: Config) -> Config:
    """The configuration to run, nothing left to be chosen; the stored one if it is resumed."""
    if config.run.resume is not None:
        stored = RunDir(config.run.resume).config
        if not stored.exists():
            raise BadInput(
                [f"--resume {config.run.resume}: no run is recorded there; name a run's directory"]
            )
        return configs.resumed(config, configs.from_json(stored.read_bytes()))
    run, data, grid = config.run, config.data, config.grid
    if grid.network == "auto":
        grid = dataclasses.replace(grid, network=config.method.network)
    name = f"{configs.name_of(config.method)}-{grid.network}"
    device = run.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    layout = run.memory_format
    if layout == "auto":
        layout = "channels_last" if device == "cpu" else "contiguous"
    return dataclasses.replace(
        config,
        method=config.method.settled(grid, data),
        grid=grid,
        data=dataclasses.replace(data, data_dir=data.data_dir and data.data_dir.absolute()),
        run=dataclasses.replace(
            run,
            run_dir=run.run_dir or default_run_dir(name),
            device=device,
            memory_format=layout,
        ),
    )


def _claim(run_dir: RunDir, ready: Ready, start: int) -> None:
    """Make the directory this run's, and write down how it is set up."""
    if ready.config.run.resume is None:
        run_dir.claim(configs.to_json(ready.config))
    run_dir.lock()
    if not run_dir.plan.exists():
        _write_plan(run_dir, ready)
    for later in checkpoint.after(run_dir.checkpoints, start):  # what was not complete
        shutil.rmtree(later)


def _write_plan(run_dir: RunDir, ready: Ready) -> None:
    with (run_dir.root / "plan.txt").open("w") as file:
        Console(file=file, width=160).print(plan_table(ready.plan, ready.costs))
    run_dir.plan.write_bytes(ready.plan.to_json())


def recorded(run_dir: Path) -> tuple[Config, Plan]:
    """The configuration and plan of a run. Raises BadInput if there is none."""
    place = RunDir(run_dir)
    if not place.config.exists() or not place.plan.exists():
        raise BadInput([f"{run_dir}: no run is recorded there; name a run's directory"])
    return configs.from_json(place.config.read_bytes()), Plan.from_json(place.plan.read_bytes())


def moved(root: Path, config: Config, plan: Plan, data_dir: Path | None) -> tuple[Config, Path]:
    """A recorded run's configuration, where run and images are now, and its prepared images.

    Raises BadInput if they are not those it was trained with.
    """
    config = dataclasses.replace(
        config,
        run=dataclasses.replace(config.run, run_dir=root),
        data=dataclasses.replace(config.data, data_dir=data_dir or config.data.data_dir),
    )
    data = prepare(config.data)
    if Prepared(data).spec != plan.data:
        raise BadInput([f"{root}: its images are not those it was trained with"])
    return config, data
