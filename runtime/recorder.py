"""What a module of a real run writes down, and whom else it tells."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from comm.telemetry import Evaluated
from workers.ballot import Result
from workers.record import MetricsFile


class RunRecorder:
    """Writes metrics.jsonl, and tells evaluations to whoever prints them."""

    def __init__(self, folder: Path, *, turn: int, tell: Callable[[Evaluated], None]) -> None:
        self._file = MetricsFile(folder / "metrics.jsonl", turn=turn)
        self._tell = tell

    def lesson(self, *, turn: int, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """One training step."""
        self._file.lesson(turn=turn, step=step, epoch=epoch, values=values)

    def result(self, turn: int, result: Result) -> None:
        """One evaluation."""
        self._file.result(turn, result)
        self._tell(
            Evaluated(
                epoch=result.epoch,
                step=result.step,
                split=result.split,
                rows=result.rows,
                head=result.head,
                ensemble=result.ensemble,
                loss=result.loss,
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.__exit__(kind, error, trace)
