"""The processes of a run on this host: started together, ended together.

    launcher ── fork server ── worker, one per rank
                └ imports once what all workers share

A fork server starts sixteen workers in about the time one interpreter takes to import torch. It and
the workers die with the launcher, whatever kills it (`runtime.death`).
"""

import multiprocessing
import os
import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from runtime.ticket import Ticket

_context = multiprocessing.get_context("forkserver")


def warm_up() -> None:
    """Start the fork server, which begins to import at once, beside whatever the launcher does.

    Python's fork server finds modules by PYTHONPATH only, so the repository is put there first.
    """
    root = str(Path(__file__).resolve().parents[1])
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [path for path in known if path not in ("", root)]
    os.environ["PYTHONPATH"] = os.pathsep.join([root, *others])
    os.environ["PYTHONSAFEPATH"] = "1"  # nothing from the current folder, whatever lies there
    _context.set_forkserver_preload(["runtime.preload"])
    with _interrupts_wait():
        forkserver.ensure_running()


@contextmanager
def _interrupts_wait() -> Generator[None]:
    """What starts in this block ignores Ctrl-C from its first moment; one that comes now is ours.

    The kernel keeps a blocked signal, even one that is ignored at the time, until it is unblocked.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class Processes:
    """One process per ticket, once they are started."""

    def __init__(self) -> None:
        self._processes: dict[int, ForkServerProcess] = {}

    def start(self, tickets: Sequence[Ticket]) -> None:
        """Start a process for every ticket."""
        from runtime.member import serve

        warm_up()
        for ticket in tickets:
            process = _context.Process(target=serve, args=(ticket.to_json(),), daemon=True)
            process.start()
            self._processes[ticket.rank] = process

    @property
    def sentinels(self) -> dict[int, int]:
        """File descriptors that become readable when a process ends, by rank."""
        return {rank: process.sentinel for rank, process in self._processes.items()}

    def exits(self) -> dict[int, int]:
        """Exit codes of the processes that have ended; a signal is negative."""
        return {
            rank: process.exitcode
            for rank, process in self._processes.items()
            if process.exitcode is not None
        }

    def ask_to_stop(self) -> None:
        """Ask rank 0 to end the run at one common step."""
        process = self._processes[0]
        if process.pid is not None and process.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End all of them now, frozen ones too."""
        for process in self._processes.values():
            if process.exitcode is None:
                process.kill()
        for process in self._processes.values():
            process.join(timeout=5)
