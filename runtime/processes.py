"""The worker processes of a run on this host: started together, ended together."""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from threading import Thread
from time import monotonic, sleep

from runtime.fork_server import (
    context,
    end_servers,
    seconds_used,
    server_death,
    server_pid,
    warm_up,
)
from runtime.ticket import Ticket

ENDING = 5.0  # seconds that processes may take to end, once they are killed


class Processes:
    """One process per ticket, started by a thread, as a frozen fork server would block it."""

    def __init__(self, tickets: Sequence[Ticket]) -> None:
        self._tickets = tickets
        self._processes: dict[int, ForkServerProcess] = {}
        self._starter = Thread(target=self._start, name="starter", daemon=True)
        self._server: int | None = None
        self.failure: Exception | None = None  # why not all could be started

    def start(self) -> None:
        """Start a process for every ticket, soon."""
        warm_up()
        self._server = server_pid()
        self._starter.start()

    def server_death(self) -> str | None:
        """How the fork server ended, if it has: no module is to blame for that."""
        return server_death(self._server)

    def _start(self) -> None:
        from runtime.member import serve

        try:
            for ticket in self._tickets:
                if self.server_death():  # Python would start another, whose workers have no parent
                    return
                process = context.Process(target=serve, args=(ticket.to_json(),), daemon=True)
                process.start()
                self._processes[ticket.rank] = process
        except Exception as error:  # told by the supervisor
            self.failure = error

    @property
    def pids(self) -> dict[int, int]:
        """The processes that were started, by rank."""
        started = {rank: process.pid for rank, process in [*self._processes.items()]}
        return {rank: pid for rank, pid in started.items() if pid is not None}

    @property
    def running(self) -> dict[int, int]:
        """Those of them that have not ended."""
        ended = self.exits()
        return {rank: pid for rank, pid in self.pids.items() if rank not in ended}

    @property
    def missing(self) -> bool:
        """Whether some are still to be started."""
        return len(self._processes) < len(self._tickets)

    def exits(self) -> dict[int, int]:
        """Exit codes of the processes that have ended; a signal is negative."""
        return {
            rank: process.exitcode
            for rank, process in [*self._processes.items()]
            if process.exitcode is not None
        }

    def ask_to_stop(self) -> None:
        """Ask rank 0 to end the run at one common step."""
        process = self._processes[0]
        if process.pid is not None and process.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End all of them now, frozen ones and the fork server too, if any is still there."""
        running = self.running.values()
        if not running and not self.missing:
            return
        end_servers()  # kills its children, those that the starter has not told of as well
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = monotonic() + ENDING
        # Whoever takes their exit codes may take his time: a process that only awaits that is gone.
        while any(seconds_used(pid) is not None for pid in running) and monotonic() < deadline:
            sleep(0.01)
