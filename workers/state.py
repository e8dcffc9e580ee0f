"""What a module is doing, in words: for heartbeats, the console, and finding who is to blame."""

from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple

from comm.address import Address
from comm.channel import Wait
from workers.schedule import Turn

DONE = "done"
RECENT = 1000  # turns whose times are kept


class Took(NamedTuple):
    """How long a turn took, and how much of it was spent waiting; seconds."""

    seconds: float
    waited: float


@dataclass
class State:
    """Written by the module's own thread, read by the heartbeat's: plain values, no lock.

    `waited` sums the seconds spent waiting, by peer; `since` is when `doing` last changed;
    `seconds` sums all turns so far, `learning` those of training alone; `recent` has the last ones.
    """

    address: Address
    doing: str = "starting"
    turn: Turn | None = None
    waiting: Wait | None = None
    since: float = field(default_factory=monotonic)
    waited: dict[str, float] = field(default_factory=dict[str, float])
    seconds: float = 0.0
    learning: float = 0.0
    turns: int = 0
    images: int = 0
    loss: float | None = None
    accuracy: float | None = None
    recent: deque[Took] = field(default_factory=lambda: deque[Took](maxlen=RECENT))

    def took(self, seconds: float, waited: float, *, learning: bool) -> None:
        """A turn is over."""
        self.turns += 1
        self.seconds += seconds
        self.learning += seconds * learning
        self.recent.append(Took(seconds, waited))

    def does(self, doing: str) -> None:
        """Say what comes next."""
        self.doing, self.waiting, self.since = doing, None, monotonic()

    def waits(self, wait: Wait) -> None:
        """Say for whom."""
        self.waiting, self.since = wait, monotonic()

    @property
    def word(self) -> str:
        """For example "waiting for k1g0 at step 812"."""
        wait = self.waiting
        place = f" at {self.turn}" if self.turn else ""
        if wait is None:
            return f"{self.doing}{place}"
        purpose = "waiting for" if wait.verb == "receive" else "waiting for room at"
        return f"{purpose} {wait.peer}{place}"
