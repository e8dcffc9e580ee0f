"""One process of a run: it takes its place in the grid, works, and says how it ended."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psutil

from comm.frame import Era
from comm.rendezvous import Meeting, Store, meet
from comm.telemetry import Beat, Report, Reporter, Started
from comm.transports.gloo import Gloo
from partition.plan import Plan
from runtime import beats
from runtime.config import Config, from_json
from runtime.death import die_with_parent
from runtime.devices import device_name, portion_of, settle
from runtime.failure import write_note
from runtime.job import job_of
from runtime.recorder import RunRecorder
from runtime.run_dir import RunDir
from runtime.ticket import Ticket
from workers.drive import drive
from workers.grid import hire
from workers.worker import Worker

EXIT_FAILED = 1


def serve(text: bytes) -> None:
    """The main function of a process that our supervisor started."""
    die_with_parent()
    ticket = Ticket.from_json(text)
    folder = ticket.session_folder
    assert folder is not None
    plan = Plan.from_json(ticket.plan.encode())
    log = RunDir(Path(ticket.run_dir)).module(plan.grid.hosted(ticket.rank)[0])
    log.mkdir(parents=True, exist_ok=True)
    _write_to(log / "log.txt")
    try:
        work(ticket, plan, from_json(ticket.config.encode()))
    except BaseException as error:
        traceback.print_exc()
        write_note(folder, ticket.rank, error)
        sys.stderr.flush()
        os._exit(EXIT_FAILED)  # nothing may wait for a peer any more, no destructor either


def _write_to(path: os.PathLike[str]) -> None:
    """Send this process's output, native libraries' included, to a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


class StopRequest:
    """A signal at rank 0 asks for an end at one common step; the other ranks end when it comes.

    SIGTERM comes from our supervisor, either of the two from torchrun, which sends it to all ranks.
    """

    def __init__(self) -> None:
        self.made = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._make)

    def _make(self, *_: object) -> None:
        self.made = True

    def __call__(self) -> bool:
        return self.made


def work(
    ticket: Ticket,
    plan: Plan,
    config: Config,
    tell: Callable[[Store], Callable[[Report], None]] | None = None,
    after: Callable[[Store, int, bool], None] | None = None,
) -> None:
    """Meet the others and drive the modules of this rank to their end.

    Reports go to the supervisor's socket, or to what `tell` makes of the shared store; `after` is
    called with it, the rank, and whether the run was stopped, when all is done.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until all have met, signals end at once
    device = settle(
        portion_of(ticket.local_rank, ticket.local_processes, config.run.threads),
        device_name(config.run.device, ticket.local_rank),
    )
    era = Era(generation=ticket.generation, digest=ticket.digest)
    meeting = Meeting(
        run_id=ticket.run_id,
        rank=ticket.rank,
        processes=plan.grid.processes,
        era=era,
        folder=ticket.session_folder,
        one_host=ticket.local_processes == plan.grid.processes,
    )
    workers: list[Worker] = []
    run_dir = RunDir(Path(ticket.run_dir))
    with ExitStack() as stack:
        reporter = _reporter(ticket, config, workers)
        if reporter is not None:
            stack.enter_context(reporter)
        store = stack.enter_context(meet(meeting))
        stop = StopRequest()
        job = job_of(config, plan, Path(ticket.data), device, ticket.start)
        told = tell(store) if tell else (reporter.tell if reporter else _unheard)
        recorders = {
            address: stack.enter_context(
                RunRecorder(run_dir, plan, address, turn=ticket.start, tell=told)
            )
            for address in plan.grid.hosted(ticket.rank)
        }
        with Gloo(plan.grid, era, device) as outside:
            workers += hire(job, recorders, outside, asked_to_stop=stop)
            told(Started(rank=ticket.rank, private=psutil.Process().memory_full_info().uss))
            drive(workers)
        write_timings(run_dir, ticket.rank, workers)
        if after is not None:
            after(store, ticket.rank, any(w.stopped_at is not None for w in workers))


def _unheard(report: Report) -> None:
    """Nobody listens."""


def _reporter(ticket: Ticket, config: Config, workers: list[Worker]) -> Reporter | None:
    folder = ticket.session_folder
    if folder is None:
        return None

    def snapshot() -> Beat:
        return beats.beat(ticket.rank, [worker.state for worker in workers])

    return Reporter(folder, snapshot, interval=min(0.5, config.run.stall / 5))


def write_timings(run_dir: RunDir, rank: int, workers: list[Worker]) -> None:
    """Each module's `timing.json`: what the summary's table is made of."""
    resident = psutil.Process().memory_info().rss
    for worker in workers:
        timing = {
            "rank": rank,
            "resident": resident,
            "recent": [tuple(took) for took in worker.state.recent],
            **msgspec.to_builtins(beats.module_beat(worker.state)),
        }
        path = run_dir.module(worker.address) / "timing.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(timing)))
