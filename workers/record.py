"""What a module leaves behind: a line of JSON per step, and one per evaluation.

The lines hold nothing that depends on time, so that two runs of the same plan write the same bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

import msgspec

from workers.aside import replace
from workers.ballot import Result


class Recorder(Protocol):
    """Where a worker says what it measured."""

    def lesson(self, *, turn: int, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """One training step."""
        ...

    def result(self, turn: int, result: Result) -> None:
        """One evaluation; called for the module that counts right answers alone."""
        ...


class MetricsFile:
    """`metrics.jsonl` of one module; on resuming, lines from `turn` on are dropped first."""

    def __init__(self, path: Path, *, turn: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            lines = path.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if _turn_of(line) < turn]
            replace(path, b"".join(kept))
        self._file: IO[bytes] = path.open("ab")

    def lesson(self, *, turn: int, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Write {"turn", "epoch", "step", the values}."""
        self._write({"turn": turn, "epoch": epoch, "step": step, **values})

    def result(self, turn: int, result: Result) -> None:
        """Write {"turn", "evaluation": …}."""
        self._write({"turn": turn, "evaluation": result})

    def _write(self, line: Mapping[str, object]) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


class _Line(msgspec.Struct):
    turn: int


def _turn_of(line: bytes) -> int:
    try:
        return msgspec.json.decode(line, type=_Line).turn
    except msgspec.DecodeError:  # the last line of a run that was killed while writing
        return 1 << 62
