"""The state of a grid in as many lines as there is room for.

A line for each module; where that is too many, one for the groups of a row (`k1g0–3`); where that
is too many, one for several rows (`k0–k3`). A line of several modules has their mean loss and
accuracy, the step and the rate of the slowest, and says what the one furthest behind does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import mean

from comm.address import Address
from comm.telemetry import Beat, ModuleBeat
from runtime.fitted import Column, Squeezed
from runtime.table import size

EXPENDABLE = ("memory", "acc %", "waits", "images/s", "loss")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A module as its process's last heartbeat has it; `rank` is the process, `memory` its own."""

    module: ModuleBeat
    rank: int
    memory: int

    @property
    def address(self) -> Address:
        return Address.parse(self.module.address)


def seen(beats: Iterable[Beat]) -> list[Seen]:
    """All modules, in the order of their addresses."""
    found = [
        Seen(module=module, rank=beat.rank, memory=beat.resident)
        for beat in beats
        for module in beat.modules
    ]
    return sorted(found, key=lambda one: one.address)


def folded(modules: Sequence[Seen], lines: int) -> list[list[Seen]]:
    """The modules of each line, at most so many lines."""
    if len(modules) <= lines:
        return [[one] for one in modules]
    rows = len({one.address.k for one in modules})
    each = -(-rows // lines)
    return [list(line) for _, line in groupby(modules, key=lambda one: one.address.k // each)]


def name(line: Sequence[Seen]) -> str:
    """Which modules a line is of."""
    first, last = line[0].address, line[-1].address
    if first == last:
        return str(first)
    return f"{first}–{last.g}" if first.k == last.k else f"k{first.k}–k{last.k}"


def _average(values: Iterable[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return format(mean(known), form) if known else "–"


def _waits(line: Sequence[Seen]) -> str:
    """The share of its time that a module waited, and for whom most; of the one that waits most."""
    waited = [one.module for one in line if one.module.waited and one.module.seconds]
    if not waited:
        return "–"
    most = max(waited, key=lambda module: sum(module.waited.values()) / module.seconds)
    peer = max(most.waited, key=most.waited.__getitem__)
    return f"{sum(most.waited.values()) / most.seconds:.0%} {peer}"


def _now(line: Sequence[Seen]) -> str:
    words = {one.module.now for one in line}
    if len(words) == 1:
        return words.pop()
    behind = min(line, key=lambda one: one.module.turn).module
    return f"{behind.address}: {behind.now}"


def _rate(line: Sequence[Seen], rate: Callable[[str], float | None]) -> str:
    known = [r for one in line if (r := rate(one.module.address)) is not None]
    return f"{min(known):,.0f}" if known else "–"


def table(lines: Sequence[Sequence[Seen]], rate: Callable[[str], float | None]) -> Squeezed:
    """What all of them do; `rate` gives a module's images per second, once it is known."""

    def column(head: str, cell: Callable[[Sequence[Seen]], str], *, number: bool = True) -> Column:
        return Column(name=head, cells=tuple(map(cell, lines)), number=number)

    return Squeezed(
        [
            column("module", name, number=False),
            column("step", lambda line: str(min(one.module.step for one in line))),
            column("loss", lambda line: _average((one.module.loss for one in line), ".3f")),
            column("acc %", lambda line: _average((one.module.accuracy for one in line), ".1f")),
            column("images/s", lambda line: _rate(line, rate)),
            column("waits", _waits),
            column("memory", lambda line: size(sum({o.rank: o.memory for o in line}.values()))),
            column("now", _now, number=False),
        ],
        EXPENDABLE,
    )
