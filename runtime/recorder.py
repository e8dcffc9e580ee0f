"""What a module of a real run writes down, and whom else it tells."""

from collections.abc import Callable
from pathlib import Path

from comm.telemetry import Evaluated
from workers.ballot import Result
from workers.record import MetricsFile


class RunRecorder(MetricsFile):
    """A module's metrics.jsonl that also tells evaluations to whoever prints them."""

    def __init__(self, folder: Path, *, turn: int, tell: Callable[[Evaluated], None]) -> None:
        super().__init__(folder / "metrics.jsonl", turn=turn)
        self._tell = tell

    def result(self, turn: int, result: Result) -> None:
        """One evaluation."""
        super().result(turn, result)
        self._tell(
            Evaluated(
                epoch=result.epoch,
                step=result.step,
                split=result.split,
                rows=result.rows,
                head=result.head,
                ensemble=result.ensemble,
                loss=result.loss,
                member=result.member,
            )
        )
