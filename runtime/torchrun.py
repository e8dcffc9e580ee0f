"""A run that torchrun started: no supervisor of ours; rank 0 prints, torchrun watches and kills.

Every process checks and plans for itself; the plan's digest is compared when they meet. What is
counted at the last module reaches rank 0 through torchrun's store.
"""

import dataclasses
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import sleep

import msgspec
from rich.console import Console

from comm.errors import BadInput, LociError
from comm.rendezvous import Store
from comm.telemetry import Evaluated, Report
from runtime.config import Config, RunConfig
from runtime.death import die_with_parent
from runtime.measured import ASKED
from runtime.member import work
from runtime.opening import Opened, open_run, settled
from runtime.run_dir import RunDir
from runtime.summary import FINISHED, STOPPED, results_line, summarise
from runtime.train import EXIT_FAILED

OTHERS_WAIT = 10.0  # seconds


def under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "WORLD_SIZE" in os.environ


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
    die_with_parent()  # torchrun's agent may be killed, too
    launch = Launch.read()
    try:
        opened = _open(config, launch)
    except BadInput:
        if launch.local_rank > 0:  # torchrun ends all ranks once the first of them has said why
            sleep(OTHERS_WAIT)
        raise
    printing = console if launch.rank == 0 else None
    if printing:
        printing.print(opened.line)
    if opened.complete:
        return 0
    ready = opened.ready
    ticket = opened.ticket(
        rank=launch.rank,
        local_rank=launch.local_rank,
        local_processes=launch.local_processes,
        run_id=launch.run_id,
        generation=launch.generation,
    )
    board = _Board(opened, printing)
    try:
        work(ticket, ready.plan, ready.config, tell=board.open, after=board.finish)
    except LociError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(EXIT_FAILED)  # nothing may wait for a peer any more, no destructor either
    return 0


def _open(config: Config, launch: Launch) -> Opened:
    """Open the run on every rank; without --run-dir it is named by torchrun's run id.

    When torchrun starts the processes again, they go on from the last complete checkpoint.
    """
    run = config.run
    if run.run_dir is None and run.resume is None:
        named = Path("runs") / f"torchrun-{launch.run_id}"
        config = dataclasses.replace(config, run=dataclasses.replace(run, run_dir=named))
    config = settled(config)
    root = config.run.run_dir
    assert root is not None
    if launch.generation > 0 and config.run.resume is None and RunDir(root).config.exists():
        config = settled(Config(run=RunConfig(resume=root)))
    problems: list[str] = []
    wanted = sum(config.grid.processes_per_row)
    if wanted != launch.processes:
        command = " ".join(sys.argv[1:])
        problems.append(
            f"torchrun started {launch.processes} processes, the grid has {wanted}: "
            f"torchrun --nproc-per-node {wanted} launch.py {command}"
        )
    if config.grid.cuts == ASKED:
        problems.append(
            "--cuts time: every process would measure for itself. Measure once with launch.py "
            "plan, and give the cut that it names"
        )
    first = launch.rank - launch.local_rank
    return open_run(
        config,
        writes=launch.rank == 0,
        expect=tuple(problems),
        ranks=range(first, first + launch.local_processes),
    )


class _Board:
    """Evaluations on their way from the module that counts to rank 0, which prints them."""

    def __init__(self, opened: Opened, console: Console | None) -> None:
        self._opened, self._console = opened, console
        self._told = 0
        self._ended = Event()
        self._printer: Thread | None = None

    def open(self, store: Store) -> Callable[[Report], None]:
        """Begin to print at rank 0; how this process tells its evaluations."""
        if self._console is not None:
            self._printer = Thread(target=self._print, args=(store, self._console), daemon=True)
            self._printer.start()

        def tell(report: Report) -> None:
            if isinstance(report, Evaluated):
                store.set(f"evaluated/{self._told}", msgspec.json.encode(report).decode())
                self._told += 1

        return tell

    def _print(self, store: Store, console: Console) -> None:
        number = 0
        while True:
            ended = self._ended.wait(0.5)
            while store.check([f"evaluated/{number}"]):
                text = store.get(f"evaluated/{number}")
                console.print(results_line(msgspec.json.decode(text, type=Evaluated)))
                number += 1
            if ended:
                break

    def finish(self, store: Store, rank: int, stopped: bool) -> None:
        """Say that this rank is done; rank 0 waits for all of them and writes the summary."""
        store.set(f"done/{rank}", "")
        if self._console is None:
            return
        for other in range(self._opened.ready.plan.grid.processes):
            store.get(f"done/{other}")
        self._ended.set()
        if self._printer is not None:
            self._printer.join(timeout=10)
        ended = STOPPED if stopped else FINISHED
        opened = self._opened
        summarise(opened.run_dir, opened.ready.plan, ended=ended, console=self._console)
