"""Opens a run: settles its configuration, checks everything, claims its directory.

The same for a run of our own processes, one under torchrun, and one in lockstep.
"""

import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from comm.errors import BadInput
from runtime import config as configs
from runtime.changes import changes, check
from runtime.classes import write_classes
from runtime.config import Config, Device
from runtime.devices import portion_of
from runtime.job import schedule_of
from runtime.memory import memory_problems
from runtime.ready import Ready, make_ready
from runtime.resuming import Resumption, going_on, resumed
from runtime.run_dir import RunDir, default_run_dir
from runtime.table import plan_table
from runtime.ticket import Ticket
from workers.aside import replace
from workers.data.feed import Feed
from workers.data.prepared import Prepared


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A run that may begin at turn `start` of `turns`."""

    ready: Ready
    run_dir: RunDir
    turns: int
    resumption: Resumption | None = None

    @property
    def start(self) -> int:
        """The turn to begin with: 0, or where the newest checkpoint of a resumed run ended."""
        return self.resumption.turn if self.resumption else 0

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.start >= self.turns

    @property
    def line(self) -> str:
        """What to begin with: a line, beside what is worth knowing of the run."""
        plan, resumption = self.ready.plan, self.resumption
        line = f"{plan.method} {plan.network} {plan.grid}: {self.run_dir.root}"
        if resumption is None:
            return "\n".join((line, *self.ready.notes))
        if self.complete:
            return f"{self.run_dir.root} is complete: there is nothing to go on with"
        if not self.start:
            line += ", from the beginning: it has no complete checkpoint"
        else:
            line += f", from batch {self.start} of {self.turns}"
        return "\n".join((*resumption.words(), line))

    def at(self, root: Path) -> "Opened":
        """The same run in another directory."""
        config = self.ready.config
        config = dataclasses.replace(config, run=dataclasses.replace(config.run, run_dir=root))
        ready = dataclasses.replace(self.ready, config=config)
        return dataclasses.replace(self, ready=ready, run_dir=RunDir(root))

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


def open_run(config: Config, *, ranks: Sequence[int] | None = None) -> Opened:
    """Check and claim what is settled.

    `ranks` are the processes that will run on this host: all, if not given. Raises BadInput with
    every problem, before anything is started.
    """
    opened = checked(config, ranks=ranks)
    claim(opened)
    return opened


def checked(
    config: Config,
    *,
    writes: bool = True,
    expect: tuple[str, ...] = (),
    ranks: Sequence[int] | None = None,
) -> Opened:
    """A run that may begin; nothing is written. Only one process of a run `writes` its directory.

    Raises BadInput with every problem, `expect` included.
    """
    assert config.run.run_dir is not None
    run_dir, resumes = RunDir(config.run.run_dir), config.run.resume is not None
    problems = [*expect, *(run_dir.problems(resume=resumes) if writes else ())]
    ready = make_ready(config, expect=problems)
    hosted = range(ready.plan.grid.processes) if ranks is None else ranks
    if too_much := memory_problems(ready.plan, hosted):
        raise BadInput(too_much)
    config = ready.config
    feed = Feed(Prepared(ready.data), config.data, seed=config.run.seed)
    turns = len(schedule_of(config, feed))
    resumption = resumed(config, ready.plan, feed) if resumes else None
    return Opened(ready=ready, run_dir=run_dir, turns=turns, resumption=resumption)


def claim(opened: Opened) -> None:
    """Make the directory this run's, and write down how it is set up.

    Raises BadInput if another run was faster, and NotWritten.
    """
    run_dir, ready, resumption = opened.run_dir, opened.ready, opened.resumption
    if resumption is None:
        run_dir.claim(configs.to_json(ready.config))
    else:
        run_dir.lock()
        if not opened.complete:
            resumption.write(ready.config)
    write_classes(run_dir.root, Prepared(ready.data).classes)
    if not run_dir.plan.exists():
        _write_plan(run_dir, ready)


def settled(config: Config, *, local_processes: int | None = None) -> Config:
    """The configuration to run, nothing left to be chosen. Raises BadInput.

    The one of a run to be resumed is what `going_on` says of it, and what was given beside it. Of
    the run's processes there are `local_processes` on this host: all, if not given.
    """
    run, data, grid = config.run, config.data, config.grid
    device = _device(run.device)
    data = dataclasses.replace(data, data_dir=data.data_dir and data.data_dir.absolute())
    if run.resume is not None:
        config = dataclasses.replace(config, data=data, run=dataclasses.replace(run, device=device))
        check(changes(going_on(run.resume), config))
        return config
    if grid.network == "auto":
        grid = dataclasses.replace(grid, network=config.method.network)
    name = f"{configs.name_of(config.method)}-{grid.network}"
    processes = local_processes or max(1, sum(grid.processes_per_row))
    layout = run.memory_format
    if layout == "auto":
        layout = "channels_last" if device == "cpu" else "contiguous"
    return dataclasses.replace(
        config,
        method=config.method.settled(grid, data),
        grid=grid,
        data=data,
        run=dataclasses.replace(
            run,
            run_dir=run.run_dir or default_run_dir(name),
            device=device,
            threads=portion_of(0, processes, None).threads if run.threads is None else run.threads,
            memory_format=layout,
        ),
    )


def _device(wanted: Device) -> Device:
    """What "auto" means on this host."""
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def _write_plan(run_dir: RunDir, ready: Ready) -> None:
    text = io.StringIO()
    Console(file=text, width=160).print(plan_table(ready.plan, ready.costs))
    replace(run_dir.root / "plan.txt", text.getvalue().encode())
    replace(run_dir.plan, ready.plan.to_json())
