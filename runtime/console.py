"""What a person sees while a run goes on: a live table in a terminal, plain lines elsewhere.

What is said, and evaluations, stay above the table: it leaves them room. A plain line is printed
every few seconds, as long as anything moves.
"""

from collections.abc import Mapping, Sequence
from statistics import mean
from time import monotonic, time
from typing import Self

import psutil
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from comm.closing import Closing
from comm.telemetry import Beat, Evaluated, ModuleBeat, Started
from partition.plan import Plan
from runtime.fitted import Sentence
from runtime.folded import Seen, folded, seen, table
from runtime.pace import Pace, duration
from runtime.summary import results_line
from runtime.table import size

EVERY = 5.0  # seconds between plain lines
KEPT = 8  # lines of a terminal that stay for what was said
HEADS = 2  # lines of the live table that are of no module


class Progress(Closing):
    """Shows heartbeats and evaluations as they come."""

    def __init__(self, console: Console, plan: Plan, turns: int) -> None:
        self.console, self.plan = console, plan
        self._up = 0  # processes that have given a sign of life
        self._table: RenderableType | None = None
        self._began = monotonic() - (time() - psutil.Process().create_time())
        self._pace = Pace(turns, self._began)
        self._printed, self._moved = monotonic(), 0  # the last plain line, and turns by then
        self._live = Live(
            console=console, get_renderable=self._shown, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def close(self) -> None:
        """Take the live table away."""
        if self.console.is_terminal:
            self._live.stop()

    def say(self, line: str) -> None:
        """One line that stays."""
        self.console.print(Sentence(line))

    def started(self, seconds: float, started: list[Started]) -> None:
        """All processes are connected."""
        private = max(report.private for report in started)
        self.say(
            f"{len(started)} processes connected after {seconds:.1f} s, "
            f"at most {size(private)} unshared memory each"
        )

    def evaluated(self, result: Evaluated) -> None:
        """An evaluation."""
        self.say(results_line(self.plan, result))

    def show(self, beats: Mapping[int, Beat]) -> None:
        """The state of all modules."""
        modules = seen(beats.values())
        self._up = len(beats)
        if not modules:
            return
        self._pace.see([one.module for one in modules], monotonic())
        if self.console.is_terminal:
            self._table = self.table(modules)
        else:
            self._print([one.module for one in modules])

    def _shown(self) -> RenderableType:
        """What stands in the terminal now: also asked for while the processes are being started."""
        if self._table is not None:
            return self._table
        elapsed = duration(monotonic() - self._began)
        of = self.plan.grid.processes
        return Text(f"starting: {self._up} of {of} processes are there, {elapsed} elapsed")

    def table(self, modules: Sequence[Seen]) -> RenderableType:
        """All modules, in as many lines as the terminal has room for beside what was said."""
        room = max(1, self.console.height - KEPT - HEADS)
        lines = folded(modules, room)
        return Group(
            Text(self._place([one.module for one in modules]), no_wrap=True, overflow="ellipsis"),
            table(lines, self._pace.rate),
        )

    def _place(self, modules: Sequence[ModuleBeat]) -> str:
        behind = min(modules, key=lambda module: module.turn)
        place = f"step {behind.step} (epoch {behind.epoch})" if behind.turn >= 0 else "starting"
        return f"{place}, {self._pace}"

    def _print(self, modules: Sequence[ModuleBeat]) -> None:
        moved = sum(module.turns for module in modules)
        if monotonic() - self._printed >= EVERY and moved > self._moved:
            self._printed, self._moved = monotonic(), moved
            losses = ", ".join(_losses(modules))
            self.say(f"{self._place(modules)}" + (f"; loss {losses}" if losses else ""))


def _losses(modules: Sequence[ModuleBeat]) -> list[str]:
    """The mean loss of every row that has one."""
    rows: dict[str, list[float]] = {}
    for module in modules:
        if module.loss is not None:
            rows.setdefault(module.address.split("g")[0], []).append(module.loss)
    return [f"{row} {mean(losses):.3f}" for row, losses in rows.items()]
