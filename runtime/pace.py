"""How fast a run goes, from heartbeats: images a second of every module, and the time left."""

from collections.abc import Sequence
from dataclasses import dataclass

from comm.telemetry import ModuleBeat

MEASURED = 1.0  # seconds of training that a rate is of, at least
FORESEEN = 3.0  # seconds after which the time left is foreseen


@dataclass(frozen=True)
class _Mark:
    """Where a module was when its rate was last taken."""

    images: int
    learning: float
    rate: float | None = None


def duration(seconds: float) -> str:
    """As 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Pace:
    """Follows a run of so many `turns`, whose command was given at the time `began`.

    What is not known yet is None: a rate until a second of training is over, the time left until
    some of the way is.
    """

    def __init__(self, turns: int, began: float) -> None:
        self.turns, self.now = turns, began
        self._began = began
        self._from: tuple[float, int] | None = None  # when the first turn was seen, and which
        self._turn = -1
        self._marks: dict[str, _Mark] = {}

    def see(self, modules: Sequence[ModuleBeat], now: float) -> None:
        """The state of all modules at the time `now`."""
        self.now = now
        for module in modules:
            self._mark(module)
        self._turn = min(self.turns if m.done else m.turn for m in modules)
        if self._from is None and self._turn >= 0:
            self._from = now, self._turn

    def _mark(self, module: ModuleBeat) -> None:
        """Seconds of training count, waits included: during an evaluation a rate stays as it is."""
        before = self._marks.setdefault(module.address, _Mark(module.images, module.learning))
        images, seconds = module.images - before.images, module.learning - before.learning
        if seconds >= MEASURED:
            mark = _Mark(module.images, module.learning, images / seconds)
            self._marks[module.address] = mark

    def rate(self, address: str) -> float | None:
        """Images per second that a module trains on."""
        mark = self._marks.get(address)
        return None if mark is None else mark.rate

    @property
    def slowest(self) -> float | None:
        """The rate of the slowest module, once all are known."""
        rates = [mark.rate for mark in self._marks.values()]
        known = [rate for rate in rates if rate is not None]
        return min(known) if known and len(known) == len(rates) else None

    @property
    def done(self) -> float:
        """Which part of all turns is over, in the module that is furthest behind."""
        return max(0, self._turn) / max(1, self.turns)

    @property
    def elapsed(self) -> float:
        """Seconds since the command was given."""
        return self.now - self._began

    @property
    def left(self) -> float | None:
        """Seconds until the end, if turns go on taking what they took."""
        if self._from is None:
            return None
        since, first = self._from
        took, turns = self.now - since, self._turn - first
        return (self.turns - self._turn) * took / turns if took >= FORESEEN and turns else None

    def __str__(self) -> str:
        rate, left = self.slowest, self.left
        parts = [f"{self.done:.0%} done"]
        if rate is not None:
            parts.append(f"{rate:,.0f} images/s")
        parts.append(f"{duration(self.elapsed)} elapsed")
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)
