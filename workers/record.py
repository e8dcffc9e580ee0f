"""What a module leaves behind: a line of JSON per step, and one per evaluation.

The lines hold nothing that depends on time, so that two runs of the same plan write the same bytes.
"""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import msgspec

from workers.aside import append, replace, writing
from workers.ballot import Result
from workers.metrics import metrics


class Recorder(Protocol):
    """Where a worker says what it measured."""

    def lesson(self, *, turn: int, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """One training step."""
        ...

    def result(self, turn: int, result: Result) -> None:
        """One evaluation; called for the module that counts right answers alone."""
        ...


class MetricsFile:
    """`metrics.jsonl` of one module; on resuming, lines from `turn` on are dropped first.

    Raises Damaged where the lines before can not all be read, and NotWritten where the file can not
    be written any more: because the disk is full, or because it lies no longer where it did.
    """

    def __init__(self, path: Path, *, turn: int = 0) -> None:
        self._path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            before = metrics(path)
            if before.damage:
                raise before.damage
            kept = (
                raw for line, raw in zip(before.lines, before.raw, strict=True) if line.turn < turn
            )
            replace(path, b"".join(kept))
        with writing(path):
            # Without a buffer, nothing is left that could fail once more when the file is closed.
            self._file = path.open("ab", buffering=0)
        self._identity = _identity(os.fstat(self._file.fileno()))

    def lesson(self, *, turn: int, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Write {"turn", "epoch", "step", the values}."""
        self._write({"turn": turn, "epoch": epoch, "step": step, **values})

    def result(self, turn: int, result: Result) -> None:
        """Write {"turn", "evaluation": …}."""
        self._write({"turn": turn, "evaluation": result})

    def _write(self, line: Mapping[str, object]) -> None:
        with writing(self._path):
            # A file whose folder was renamed or removed can be written to, but nobody will find it.
            if _identity(self._path.stat()) != self._identity:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            append(self._file, msgspec.json.encode(line) + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
