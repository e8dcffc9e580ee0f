"""What a module leaves behind: a line of JSON per step, and one per evaluation.

The lines hold nothing that depends on time, so that two runs of the same plan write the same bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from comm.closing import Closing
from workers.aside import replace
from workers.ballot import Result
from workers.growing import GrowingFile
from workers.metrics import metrics


class Recorder(Protocol):
    """Where a worker says what it measured."""

    def lesson(self, *, turn: int, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """One training step."""
        ...

    def result(self, turn: int, result: Result) -> None:
        """One evaluation; called for the module that counts right answers alone."""
        ...


class MetricsFile(Closing):
    """`metrics.jsonl` of one module; on resuming, lines from `turn` on are dropped first.

    Raises Damaged where the lines before can not all be read, and NotWritten.
    """

    def __init__(self, path: Path, *, turn: int = 0) -> None:
        if path.exists():
            before = metrics(path)
            if before.damage:
                raise before.damage
            kept = (
                raw for line, raw in zip(before.lines, before.raw, strict=True) if line.turn < turn
            )
            replace(path, b"".join(kept))
        self._file = GrowingFile(path)

    def lesson(self, *, turn: int, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Write {"turn", "epoch", "step", the values}."""
        self._write({"turn": turn, "epoch": epoch, "step": step, **values})

    def result(self, turn: int, result: Result) -> None:
        """Write {"turn", "evaluation": …}."""
        self._write({"turn": turn, "evaluation": result})

    def _write(self, line: Mapping[str, object]) -> None:
        self._file.add(msgspec.json.encode(line))

    def close(self) -> None:
        """Nothing more will come."""
        self._file.close()
