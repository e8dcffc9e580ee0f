"""Tables and sentences that fit what they are printed on: no digit is ever cut.

A table that is too wide goes on below, its key columns repeated; one that is shown while it changes
leaves columns out instead.

    module  rank  blocks            module  rank  blocks
    k0g0       0  stem … s2b1  →    k0g0       0  stem … s2b1
    …                               …

                                    module  parameters   kMACs
                                    k0g0        42,530  8705.5
                                    …
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

GAP = 2  # characters between two columns
WORDS = 22  # characters of a last column that may be cut for which there must be room
ECHO = 2  # characters behind a table that changes: a full line and the terminal's ^C were two


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table: its name, and a cell for every line. A `key` says what a line is of."""

    name: str
    cells: tuple[str, ...]
    number: bool = False
    key: bool = False

    @property
    def widest(self) -> int:
        """Characters of its widest cell."""
        return max(map(cell_len, self.cells), default=0)

    @property
    def natural(self) -> int:
        """Its width with its name in one line."""
        return max(self.widest, cell_len(self.name))

    @property
    def narrow(self) -> int:
        """Its width with its name in several lines, a word in each."""
        return max(self.widest, *map(cell_len, self.name.split()))


def total(widths: Sequence[int]) -> int:
    """The width of columns of these widths."""
    return sum(widths) + GAP * (len(widths) - 1)


def parted(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """The columns, keys apart, in as few parts as fit into `width` with all keys; parts alike."""
    keys = [column.narrow for column in columns if column.key]
    others = [column for column in columns if not column.key]

    def within(limit: int) -> list[list[Column]]:
        parts: list[list[Column]] = [[]]
        for column in others:
            widths = [*keys, *(c.narrow for c in parts[-1]), column.narrow]
            if parts[-1] and total(widths) > limit:
                parts.append([])
            parts[-1].append(column)
        return parts

    fewest = len(within(width))
    return next(p for limit in range(width + 1) if len(p := within(limit)) <= fewest)


@dataclass(frozen=True)
class Fitted:
    """A table that is printed in one part if there is room, else in several, each of all lines."""

    columns: Sequence[Column]
    title: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        if self.title:
            yield Text(self.title, style="italic")
        if total([column.natural for column in self.columns]) <= width:
            yield _table(self.columns, [column.natural for column in self.columns])
            return
        keys = [column for column in self.columns if column.key]
        for number, part in enumerate(parted(self.columns, width)):
            if number:
                yield Text()
            shown = [*keys, *part]
            yield _table(shown, _widths(shown, width))


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """What each column of a part gets: its name in one line, as long as there is room."""
    widths = [column.narrow for column in columns]
    spare = width - total(widths)
    if spare < 0:  # a column of words alone may still be too long for a line
        return [*widths[:-1], max(1, widths[-1] + spare)]
    for index, column in enumerate(columns):
        if (more := column.natural - column.narrow) <= spare:
            widths[index] += more
            spare -= more
    return widths


def _table(columns: Sequence[Column], widths: Sequence[int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column, width in zip(columns, widths, strict=True):
        table.add_column(
            column.name,
            justify="right" if column.number else "left",
            overflow="fold",
            width=width,
        )
    for line in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, line))
    return table


@dataclass(frozen=True)
class Squeezed:
    """A table of one part, a line of the terminal each: the last column's words may be cut.

    Where they have no room, the columns of these names are left out, the first of them first.
    """

    columns: Sequence[Column]
    expendable: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown, expendable = list(self.columns), list(self.expendable)
        while True:
            widths = [column.natural for column in shown]
            room = options.max_width - ECHO - total([*widths[:-1], 0])
            if room >= WORDS or not expendable:
                break
            name = expendable.pop(0)
            shown = [column for column in shown if column.name != name]
        widths[-1] = max(1, min(room, widths[-1]))
        last = shown[-1]
        cut = tuple(_cut(cell, widths[-1]) for cell in last.cells)
        yield _table([*shown[:-1], replace(last, cells=cut)], widths)


def _cut(words: str, width: int) -> str:
    return words if cell_len(words) <= width else words[: width - 1] + "…"


@dataclass(frozen=True)
class Sentence:
    """Words that go on in the next line of a terminal; one line wherever they are written to."""

    text: str
    style: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = Text(self.text, style=self.style)
        if console.is_terminal:
            options = options.update(no_wrap=False, overflow="fold")
        yield from console.render(text, options)
