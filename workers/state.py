"""What a module is doing, in words: for heartbeats, the console, and finding who is to blame."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple

from comm.address import Address
from comm.channel import Wait
from workers.schedule import Turn

EVALUATING, DONE = "evaluating", "done"
RECENT = 1000  # turns whose times are kept


class Took(NamedTuple):
    """How long a turn took, and how much of it was spent waiting; seconds."""

    seconds: float
    waited: float


@dataclass(frozen=True, kw_only=True)
class Times:
    """Sums over the turns that are over, in seconds: of all, of training alone, waited by peer."""

    turns: int = 0
    seconds: float = 0.0
    learning: float = 0.0
    waited: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass
class State:
    """Written by the module's own thread, read by the heartbeat's: plain values, no lock.

    `times` is replaced as a whole, so whoever reads it finds sums of the same turns. `waited` has
    the seconds spent waiting by peer, those of the turn under way included; `recent` has the times
    of the last turns. `wait` is the last wait that was begun.
    """

    address: Address
    doing: str = "starting"
    turn: Turn | None = None
    wait: Wait | None = None
    changed: float = field(default_factory=monotonic)  # when it last said what it does
    waited: dict[str, float] = field(default_factory=dict[str, float])
    times: Times = field(default_factory=Times)
    images: int = 0
    loss: float | None = None
    accuracy: float | None = None
    recent: deque[Took] = field(default_factory=lambda: deque[Took](maxlen=RECENT))

    def took(self, seconds: float, waited: float, *, learning: bool) -> None:
        """A turn is over."""
        self._add(seconds, turns=1, learning=seconds * learning)
        self.recent.append(Took(seconds, waited))

    def rested(self, seconds: float) -> None:
        """So many more seconds are over, in which no turn was made."""
        self._add(seconds)

    def _add(self, seconds: float, *, turns: int = 0, learning: float = 0.0) -> None:
        before = self.times
        self.times = Times(
            turns=before.turns + turns,
            seconds=before.seconds + seconds,
            learning=before.learning + learning,
            waited=dict(self.waited),
        )

    def does(self, doing: str) -> None:
        """Say what comes next."""
        self.doing, self.wait, self.changed = doing, None, monotonic()

    def waits(self, wait: Wait) -> None:
        """Say for whom."""
        self.wait, self.changed = wait, monotonic()

    @property
    def waiting(self) -> Wait | None:
        """The wait that is not over yet."""
        wait = self.wait
        return None if wait is None or wait.over is not None else wait

    @property
    def since(self) -> float:
        """When what it does, or for whom it waits, last changed."""
        wait = self.wait
        return self.changed if wait is None or wait.over is None else wait.over

    @property
    def now(self) -> str:
        """What stands in a table: "learning", "waiting for k0g0", "k2g0 is behind, …"."""
        wait = self.waiting
        if wait is None:
            return self.doing
        if wait.verb == "send":
            return f"{wait.peer} is behind, its queue is full"
        return f"waiting for {wait.peer}"

    @property
    def word(self) -> str:
        """The same within a sentence, with its place: "k1g0 is … waiting for k0g0 at step 812"."""
        wait, turn = self.waiting, self.turn
        if turn is None:
            return self.doing
        if wait is None:
            evaluates = self.doing == EVALUATING
            return f"{EVALUATING} batch {turn.batch}" if evaluates else f"{self.doing} at {turn}"
        full = ", whose queue is full," if wait.verb == "send" else ""
        return f"waiting for {wait.peer}{full} at {turn}"
