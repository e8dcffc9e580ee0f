"""Reads a module's `metrics.jsonl`: a line of JSON per step, and one per evaluation.

A process that is killed while it writes leaves half a line at the end. That is normal, and skipped.
Any other line that can not be read is damage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from comm.decoding import content, decoded
from comm.errors import Damaged
from workers.ballot import Result


class Line(msgspec.Struct):
    """What readers ask of a line; what else stands there was measured in that step.

    `read` is the turn of the batch that a row with replay chose.
    """

    turn: int
    read: int | None = None
    evaluation: Result | None = None


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The lines of a file that can be read, and their bytes.

    `torn`: the last one is half a line. `wrong`: the numbers, counted from 1, of all others that
    can not be read.
    """

    path: Path
    lines: Sequence[Line]
    raw: Sequence[bytes]
    torn: bool
    wrong: Sequence[int]

    @property
    def damage(self) -> Damaged | None:
        """What is wrong with the file, if anything is."""
        if not self.wrong:
            return None
        which = ", ".join(map(str, self.wrong[:5])) + ", …" * (len(self.wrong) > 5)
        return Damaged(self.path, f"line {which} can not be read")


def metrics(path: Path) -> Metrics:
    """What a module wrote down; nothing, where it has not begun. Raises Damaged without access."""
    stored = content(path) if path.exists() else b""
    lines, raw, wrong = list[Line](), list[bytes](), list[int]()
    for number, text in enumerate(stored.split(b"\n")[:-1], start=1):
        try:
            lines.append(decoded(text, Line, path=path))
            raw.append(text + b"\n")
        except Damaged:
            wrong.append(number)
    torn = bool(stored) and not stored.endswith(b"\n")
    return Metrics(path=path, lines=lines, raw=raw, torn=torn, wrong=wrong)
