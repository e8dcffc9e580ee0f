"""Keeps the processes of a run alive together, or ends them together and says why.

    start all ──▶ listen to heartbeats ──▶ all ended well: summary
                       │ one ended badly, froze, or nobody moves: name the cause, kill the rest
                       └ asked to stop: ask rank 0, which ends the run at one common step

What is asked of it travels with the data from there (see `workers.worker.Worker`), so no module can
be past the step at which all end.
"""

from collections.abc import Sequence
from pathlib import Path
from time import monotonic, time

import psutil

from comm.errors import RunError
from comm.telemetry import Beat, Evaluated, Listener, Started
from runtime.blame import stalled
from runtime.console import Progress
from runtime.exits import EXIT_STOPPED
from runtime.failure import cause, read_notes
from runtime.interrupts import Requests
from runtime.places import Places
from runtime.processes import Processes
from runtime.signs import Signs
from runtime.summary import STOPPED, STOPPING
from runtime.ticket import Ticket

TICK = 0.1  # seconds between looks at the processes
GRACE = 0.4  # seconds for the others' accounts, once one process has failed


class Stopped(RunError):
    """The run was asked to end, and did."""


class Supervisor:
    """Runs the processes of `tickets` to their end, and shows what they say as `progress`.

    `places` are the folders that the run needs; `requests` come from outside.
    """

    def __init__(
        self,
        tickets: Sequence[Ticket],
        session: Path,
        progress: Progress,
        requests: Requests,
        places: Places,
        *,
        stall: float,
    ) -> None:
        self._session, self._progress = session, progress
        self._requests, self._places, self._stall = requests, places, stall
        self._listener = Listener(session)
        self._processes = Processes(tickets)
        self._hosted = {t.rank: tuple(map(str, progress.plan.grid.hosted(t.rank))) for t in tickets}
        self._signs = Signs(self._hosted)
        self._beats: dict[int, Beat] = {}
        self._started: dict[int, Started] = {}
        self._asked = False

    def run(self) -> None:
        """Returns when all processes ended well. Raises RunError with the cause, or Stopped."""
        try:
            self._processes.start()
            while not self._finished():
                self._listen()
                self._obey()
                self._watch()
        finally:
            self._processes.kill()
            self._listener.close()
        if EXIT_STOPPED in self._processes.exits().values():
            raise Stopped(STOPPED)

    def _listen(self) -> None:
        for report in self._listener.reports(TICK):
            match report:
                case Beat():
                    self._beats[report.rank] = report
                    self._signs.heard(report.rank)
                case Started():
                    self._started[report.rank] = report
                    if len(self._started) == len(self._hosted):
                        since_command = time() - psutil.Process().create_time()
                        self._progress.started(since_command, list(self._started.values()))
                case Evaluated():
                    self._progress.evaluated(report)
        self._progress.show(self._beats)

    def _obey(self) -> None:
        """End the run if somebody asks for it: us, or any of the modules' processes."""
        if self._requests.at_once:
            raise Stopped("ended at once, as asked twice")
        told = [rank for rank, beat in self._beats.items() if beat.asked]
        if self._asked or not (self._requests.asked or told):
            return
        if 0 not in self._started:  # then nobody has begun a step
            raise Stopped("stopped before it began")
        self._asked = True
        if not self._requests.asked:
            named = " and ".join(self._hosted[told[0]])
            self._progress.say(f"the process of {named} was sent a signal to end")
        self._progress.say(STOPPING)
        self._processes.ask_to_stop()

    def _finished(self) -> bool:
        if self._processes.failure is not None:
            raise RunError(self._death() or f"could not start: {self._processes.failure}")
        exits = self._processes.exits()
        if _bad(exits):
            until = monotonic() + GRACE
            while monotonic() < until:
                self._listen()
            failed = _bad(self._processes.exits())
            found = cause(read_notes(self._session), failed, self._words())
            raise RunError(self._death() or found)
        if len(exits) == len(self._hosted):
            self._listen()  # to what the last of them said
            return True
        if death := self._death():
            raise RunError(death)
        if moved := self._places.moved():
            raise RunError(moved)
        return False

    def _death(self) -> str | None:
        """How the fork server ended, if it did: no module is to blame then."""
        if ended := self._processes.server_death():
            return f"the fork server, from which all modules come: {ended}"
        return None

    def _words(self) -> dict[int, str]:
        words = {
            rank: f"{' and '.join(hosted)} (starting)" for rank, hosted in self._hosted.items()
        }
        for rank, beat in self._beats.items():
            if beat.modules:
                words[rank] = " and ".join(f"{m.address} ({m.word})" for m in beat.modules)
        return words

    def _watch(self) -> None:
        running = self._processes.running
        pulses = self._signs.pulses(running, self._beats)
        found = self._signs.frozen_server(self._processes.missing, running, self._stall)
        if found := found or stalled(pulses, self._stall):
            raise RunError(found)


def _bad(exits: dict[int, int]) -> dict[int, int]:
    return {rank: code for rank, code in exits.items() if code not in (0, EXIT_STOPPED)}
