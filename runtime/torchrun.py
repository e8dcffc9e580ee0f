"""A run that torchrun started: no supervisor of ours; rank 0 prints, torchrun watches and kills.

Every process checks and plans for itself; the plan's digest is compared when they meet. What is
counted at the last module reaches rank 0 through torchrun's store.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from comm.errors import BadInput, LociError
from comm.telemetry import Evaluated, Report
from runtime.config import Config
from runtime.job import start_of
from runtime.member import work
from runtime.ready import Ready, make_ready
from runtime.run_dir import RunDir
from runtime.summary import results_line, summarise
from runtime.train import EXIT_FAILED, claim, run_dir_problems, settled, ticket_of

if TYPE_CHECKING:
    from torch.distributed import Store

OTHERS_WAIT = 10.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What torchrun says in the environment."""

    run_id: str
    generation: int
    rank: int
    local_rank: int
    processes: int
    local_processes: int

    @classmethod
    def read(cls) -> "Launch":
        """From the environment."""
        number = {
            name: int(os.environ[name])
            for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
        }
        return cls(
            run_id=os.environ["TORCHELASTIC_RUN_ID"],
            generation=int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")),
            rank=number["RANK"],
            local_rank=number["LOCAL_RANK"],
            processes=number["WORLD_SIZE"],
            local_processes=number["LOCAL_WORLD_SIZE"],
        )


def train_under_torchrun(config: Config, console: Console) -> int:
    """Be one process of the run; the exit code. Raises BadInput, first at each host's rank 0."""
    launch = Launch.read()
    try:
        ready = _ready(config, launch)
        start = start_of(ready.config, ready.plan)
        if launch.rank == 0:
            claim(ready.config, ready.plan)
    except BadInput:
        if launch.local_rank > 0:  # torchrun ends all ranks once the first of them has said why
            sleep(OTHERS_WAIT)
        raise
    ticket = ticket_of(
        ready,
        rank=launch.rank,
        start=start,
        run_id=launch.run_id,
        session_folder=None,
        local_rank=launch.local_rank,
        local_processes=launch.local_processes,
        generation=launch.generation,
    )
    board = _Board(ready, console if launch.rank == 0 else None)
    try:
        work(ticket, ready.plan, ready.config, tell=board.open, after=board.finish)
    except LociError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    return 0


def _ready(config: Config, launch: Launch) -> Ready:
    """Checks and plan; the default run directory is named by torchrun's run id on all ranks."""
    settings = settled(config, run_dir=Path("runs") / f"torchrun-{launch.run_id}")
    problems: list[str] = []
    if launch.rank == 0:
        problems += run_dir_problems(settings)
    ready = None
    try:
        ready = make_ready(settings)
        wanted = ready.plan.grid.processes
    except BadInput as error:
        problems += error.problems
        wanted = sum(settings.grid.groups_per_row)
    if wanted != launch.processes:
        command = " ".join(sys.argv[1:])
        problems.append(
            f"torchrun started {launch.processes} processes, the grid has {wanted}: "
            f"torchrun --nproc-per-node {wanted} launch.py {command}"
        )
    if problems or ready is None:
        raise BadInput(problems)
    return ready


class _Board:
    """Evaluations on their way from the module that counts to rank 0, which prints them."""

    def __init__(self, ready: Ready, console: Console | None) -> None:
        self._ready, self._console = ready, console
        self._told = 0
        self._ended = Event()
        self._printer: Thread | None = None

    def open(self, store: "Store") -> Callable[[Report], None]:
        """Begin to print at rank 0; how this process tells its evaluations."""
        if self._console is not None:
            run_dir = self._ready.config.run.run_dir
            plan = self._ready.plan
            self._console.print(f"{plan.method} {plan.network} {plan.grid}: {run_dir}")
            self._printer = Thread(target=self._print, args=(store, self._console), daemon=True)
            self._printer.start()

        def tell(report: Report) -> None:
            if isinstance(report, Evaluated):
                store.set(f"evaluated/{self._told}", msgspec.json.encode(report).decode())
                self._told += 1

        return tell

    def _print(self, store: "Store", console: Console) -> None:
        number = 0
        while True:
            ended = self._ended.wait(0.5)
            while store.check([f"evaluated/{number}"]):
                text = store.get(f"evaluated/{number}")
                console.print(results_line(msgspec.json.decode(text, type=Evaluated)))
                number += 1
            if ended:
                break

    def finish(self, store: "Store", rank: int, stopped: bool) -> None:
        """Say that this rank is done; rank 0 waits for all of them and writes the summary."""
        store.set(f"done/{rank}", "")
        if self._console is None:
            return
        for other in range(self._ready.plan.grid.processes):
            store.get(f"done/{other}")
        self._ended.set()
        if self._printer is not None:
            self._printer.join(timeout=10)
        root = self._ready.config.run.run_dir
        assert root is not None
        ended = "stopped as asked, at one common step" if stopped else "finished"
        summarise(RunDir(root), self._ready.plan, ended=ended, console=self._console)
