"""Keeps the processes of a run alive together, or ends them together and says why.

    start all ──▶ listen to heartbeats ──▶ all ended well: summary
                       │ one ended badly, froze, or nobody moves: name the cause, kill the rest
                       └ Ctrl-C: ask rank 0, which ends the run at one common step

What is asked of it travels with the data from there (see `workers.worker.Worker`), so no module can
be past the step at which all end.
"""

import signal
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time
from types import FrameType

import psutil

from comm.errors import RunError
from comm.telemetry import Beat, Evaluated, Listener, Started
from runtime.blame import Pulse, stalled
from runtime.console import Progress
from runtime.failure import cause, read_notes
from runtime.processes import Processes
from runtime.summary import STOPPED, STOPPING
from runtime.ticket import Ticket

TICK = 0.1  # seconds between looks at the processes
GRACE = 0.4  # seconds for the others' accounts, once one process has failed
STARTING = 120.0  # seconds a process may take until its first heartbeat


class Stopped(RunError):
    """The run was asked to end, and did."""


@dataclass
class _Seen:
    """What was heard of the processes so far, and when."""

    beats: dict[int, Beat] = field(default_factory=dict[int, Beat])
    at: dict[int, float] = field(default_factory=dict[int, float])
    started: dict[int, Started] = field(default_factory=dict[int, Started])


class Supervisor:
    """Runs the processes of `tickets` to their end, and shows what they say as `progress`."""

    def __init__(
        self, tickets: list[Ticket], session: Path, progress: Progress, *, stall: float
    ) -> None:
        self._tickets, self._session, self._progress = tickets, session, progress
        self._stall = stall
        self._listener = Listener(session)
        self._interrupts = 0
        self._asked = False
        self.seen = _Seen()
        self._began = monotonic()
        self._looked = self._began
        self._processes = Processes()

    def run(self) -> None:
        """Returns when all processes ended well. Raises RunError with the cause, or Stopped."""
        before = {
            number: signal.signal(number, self._interrupted)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            self._processes.start(self._tickets)
            while not self._finished():
                self._listen()
                self._obey()
                self._watch()
        finally:
            self._processes.kill()
            self._listener.close()
            for number, action in before.items():
                signal.signal(number, action)
        if self._asked:
            raise Stopped(STOPPED)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += 1

    def _listen(self) -> None:
        for report in self._listener.reports(TICK):
            match report:
                case Beat():
                    self.seen.beats[report.rank] = report
                    self.seen.at[report.rank] = monotonic()
                case Started():
                    self.seen.started[report.rank] = report
                    if len(self.seen.started) == len(self._processes.sentinels):
                        since_command = time() - psutil.Process().create_time()
                        self._progress.started(since_command, list(self.seen.started.values()))
                case Evaluated():
                    self._progress.evaluated(report)
        self._progress.show(self.seen.beats)

    def _obey(self) -> None:
        if self._interrupts > 1:
            raise Stopped("ended at once, as asked twice; the last checkpoint is intact")
        if self._interrupts and not self._asked:
            if 0 not in self.seen.started:  # then nobody has begun a step
                raise Stopped("stopped before it began")
            self._asked = True
            self._progress.say(STOPPING)
            self._processes.ask_to_stop()

    def _finished(self) -> bool:
        exits = self._processes.exits()
        failed = {rank: code for rank, code in exits.items() if code != 0}
        if failed:
            until = monotonic() + GRACE
            while monotonic() < until:
                self._listen()
            exits = self._processes.exits()
            failed = {rank: code for rank, code in exits.items() if code != 0}
            raise RunError(cause(read_notes(self._session), failed, self._words()))
        return len(exits) == len(self._processes.sentinels)

    def _words(self) -> dict[int, str]:
        words = {rank: f"{' and '.join(self._hosted(rank))} (starting)" for rank in self._ranks}
        for rank, beat in self.seen.beats.items():
            if beat.modules:
                words[rank] = " and ".join(f"{m.address} ({m.word})" for m in beat.modules)
        return words

    @property
    def _ranks(self) -> range:
        return range(len(self._tickets))

    def _hosted(self, rank: int) -> tuple[str, ...]:
        return tuple(map(str, self._progress.plan.grid.hosted(rank)))

    def _watch(self) -> None:
        now, running = monotonic(), self._processes.sentinels.keys() - self._processes.exits()
        gap, self._looked = now - self._looked, now
        if gap > 5 * TICK + 1:  # the launcher itself was frozen: nobody else is to blame for that
            self.seen.at = {rank: min(at + gap, now) for rank, at in self.seen.at.items()}
            self._began += gap
        pulses: dict[int, Pulse] = {}
        for rank in running:
            beat = self.seen.beats.get(rank)
            age = now - self.seen.at.get(rank, now)
            if beat is None or not beat.modules:  # it has not met the others yet
                age = max(age, now - self._began - STARTING + self._stall)
            pulses[rank] = Pulse(
                age=age, hosted=self._hosted(rank), modules=tuple(beat.modules) if beat else ()
            )
        found = stalled(pulses, self._stall)
        if found:
            raise RunError(found)
