"""What a person sees while a run goes on: a live table in a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from comm.telemetry import Beat, Evaluated, ModuleBeat, Started
from partition.plan import Plan
from runtime.summary import results_line
from runtime.table import size

EVERY = 5.0  # seconds between plain lines


def _waiting(module: ModuleBeat) -> str:
    """The share of its time that a module waited, and for whom most."""
    if not module.waited or not module.seconds:
        return "–"
    peer = max(module.waited, key=module.waited.__getitem__)
    return f"{100 * sum(module.waited.values()) / module.seconds:.0f} % {peer}"


class Progress:
    """Shows heartbeats and evaluations as they come."""

    def __init__(self, console: Console, plan: Plan, turns: int) -> None:
        self.console, self.plan, self.turns = console, plan, turns
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._printed = monotonic()
        self._rates: dict[str, tuple[float, int, float]] = {}  # address: (time, images, images/s)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def say(self, line: str) -> None:
        """One line that stays."""
        self.console.print(Text(line))

    def started(self, seconds: float, started: list[Started]) -> None:
        """All processes have met."""
        private = max(report.private for report in started)
        self.say(
            f"{len(started)} processes met after {seconds:.1f} s, "
            f"at most {size(private)} private memory each"
        )

    def evaluated(self, result: Evaluated) -> None:
        """An evaluation."""
        self.say(results_line(self.plan, result))

    def show(self, beats: Mapping[int, Beat]) -> None:
        """The state of all modules."""
        modules = [(beat, module) for _, beat in sorted(beats.items()) for module in beat.modules]
        if not modules:
            return
        if self.console.is_terminal:
            self._live.update(self._table(modules))
        elif monotonic() - self._printed >= EVERY:
            self._printed = monotonic()
            self.console.print(Text(self._line([module for _, module in modules])))

    def _rate(self, module: ModuleBeat) -> float:
        """Images per second, over at least a second."""
        now = monotonic()
        since, images, rate = self._rates.get(module.address, (now, module.images, 0.0))
        if now - since >= 1.0:
            rate = (module.images - images) / (now - since)
            since, images = now, module.images
        self._rates[module.address] = (since, images, rate)
        return rate

    def _line(self, modules: list[ModuleBeat]) -> str:
        last = [module for module in modules if module.loss is not None]
        slowest = min(modules, key=lambda module: module.turn)
        rate = min((self._rate(module) for module in modules), default=0.0)
        losses = " ".join(f"{m.address} {m.loss:.3f}" for m in last if m.loss is not None)
        return (
            f"epoch {slowest.epoch} step {slowest.step} "
            f"({100 * max(0, slowest.turn) / max(1, self.turns):.0f} %), "
            f"{rate:.0f} images/s; loss {losses}"
        )

    def _table(self, modules: list[tuple[Beat, ModuleBeat]]) -> Group:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("module", "step", "loss", "acc %", "images/s", "waits", "memory", "now"):
            table.add_column(name, justify="left" if name in ("module", "now") else "right")
        for beat, module in modules:
            table.add_row(
                module.address,
                str(module.step),
                "–" if module.loss is None else f"{module.loss:.3f}",
                "–" if module.accuracy is None else f"{module.accuracy:.1f}",
                f"{self._rate(module):.0f}",
                _waiting(module),
                size(beat.resident),
                module.word,
            )
        slowest = min(module.turn for _, module in modules)
        done = Text(f"{max(0, slowest)} of {self.turns} batches")
        return Group(done, table)
