"""One process of a run: it takes its place in the grid, works, and says how it ended."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import psutil

from comm.address import Address
from comm.frame import Era
from comm.rendezvous import Meeting, Store, meet
from comm.telemetry import Beat, Report, Reporter, Started
from comm.transports.gloo import Gloo
from partition.plan import Plan
from runtime import beats
from runtime.config import Config, from_json
from runtime.death import die_with_parent
from runtime.devices import device_name, portion_of, settle
from runtime.exits import EXIT_FAILED, EXIT_STOPPED
from runtime.failure import write_note
from runtime.interrupts import ENDING, heeded
from runtime.job import job_of
from runtime.phase import WORKING, Phase
from runtime.recorder import RunRecorder
from runtime.room import give_room, keep_room
from runtime.run_dir import RunDir
from runtime.ticket import Ticket
from workers.aside import replace, writing
from workers.drive import drive, failing
from workers.grid import hire
from workers.state import State
from workers.worker import Worker


def serve(text: bytes) -> None:
    """The main function of a process that our supervisor started; how it ends is its exit code."""
    die_with_parent()
    for number in ENDING:  # until all have met, they end this process
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # the fork server never hears them
    ticket = Ticket.from_json(text)
    folder = ticket.session_folder
    assert folder is not None
    try:
        keep_room(folder, ticket.rank)
        plan = Plan.from_json(ticket.plan.encode())
        first = plan.grid.hosted(ticket.rank)[0]
        log = RunDir(Path(ticket.run_dir)).module(first) / "log.txt"
        with failing(State(first)), writing(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            _write_to(log)
        stopped = work(ticket, plan, from_json(ticket.config.encode()))
    except BaseException as error:
        give_room(folder, ticket.rank)
        write_note(folder, ticket.rank, error)
        with suppress(OSError):  # the disk may be full
            traceback.print_exception(error)
            sys.stderr.flush()
        os._exit(EXIT_FAILED)  # nothing may wait for a peer any more, no destructor either
    if stopped:
        sys.exit(EXIT_STOPPED)


def _write_to(path: os.PathLike[str]) -> None:
    """Send this process's output, native libraries' included, to a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


class StopRequest:
    """A signal at rank 0 asks for an end at one common step; the other ranks end when it comes.

    It is our supervisor's, or torchrun's, which sends it to all ranks, or anybody's. What comes to
    another rank alone is told to the supervisor with the next heartbeat.
    """

    def __init__(self) -> None:
        self.made = False

    def listen(self) -> None:
        """From now on signals are requests."""
        for number in heeded():
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
) -> bool:
    """Meet the others and drive the modules of this rank to their end; whether they were stopped.

    Reports go to the supervisor's socket, or to what `tell` makes of the shared store; `after` is
    called with it, the rank, and whether the run was stopped, when all is done.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until all have met, it ends this process
    era = Era(generation=ticket.generation, digest=ticket.digest)
    meeting = Meeting(
        run_id=ticket.run_id,
        rank=ticket.rank,
        processes=plan.grid.processes,
        era=era,
        folder=ticket.session_folder,
        one_host=ticket.local_processes == plan.grid.processes,
    )
    run_dir = RunDir(Path(ticket.run_dir))
    workers: list[Worker] = []
    phase, stop = Phase(), StopRequest()
    with ExitStack() as stack:
        reporter = _reporter(ticket, config, workers, phase, stop)
        if reporter is not None:
            stack.enter_context(reporter)
        device = settle(
            portion_of(ticket.local_rank, ticket.local_processes, config.run.threads),
            device_name(config.run.device, ticket.local_rank),
        )
        phase.enter("connecting", waiting=True)
        store = stack.enter_context(meet(meeting))
        phase.enter("building its modules")
        stop.listen()
        job = job_of(config, plan, Path(ticket.data), device, ticket.start)
        told = tell(store) if tell else (reporter.tell if reporter else _unheard)
        recorders: dict[Address, RunRecorder] = {}
        for address in plan.grid.hosted(ticket.rank):
            with failing(State(address)):
                recorder = RunRecorder(run_dir, plan, address, turn=ticket.start, tell=told)
            recorders[address] = stack.enter_context(recorder)
        with Gloo(plan.grid, era, device) as outside:
            workers += hire(job, recorders, outside, asked_to_stop=stop)
            told(Started(rank=ticket.rank, private=psutil.Process().memory_full_info().uss))
            phase.enter(WORKING)
            drive(workers)
            phase.enter("handing over its last messages", waiting=True)
        phase.enter("writing down its times")
        write_timings(run_dir, ticket.rank, workers)
        phase.enter("leaving", waiting=True)
        stopped = any(worker.stopped_at is not None for worker in workers)
        if after is not None:
            after(store, ticket.rank, stopped)
    return stopped


def _unheard(report: Report) -> None:
    """Nobody listens."""


def _reporter(
    ticket: Ticket, config: Config, workers: list[Worker], phase: Phase, stop: StopRequest
) -> Reporter | None:
    folder = ticket.session_folder
    if folder is None:
        return None

    def snapshot() -> Beat:
        states = [worker.state for worker in workers]
        return beats.beat(ticket.rank, phase, states, asked=stop.made)

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
        with failing(worker.state):
            text = msgspec.json.format(msgspec.json.encode(timing))
            replace(run_dir.timing(worker.address), text)
