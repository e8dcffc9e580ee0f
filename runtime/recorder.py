"""What a module of a real run writes down, and whom else it tells."""

from collections.abc import Callable, Mapping

from comm.address import Address
from comm.telemetry import Evaluated
from partition.plan import Plan
from runtime.history import History
from runtime.run_dir import RunDir
from workers.ballot import Result
from workers.record import MetricsFile


class RunRecorder(MetricsFile):
    """A module's metrics.jsonl; the module that counts also keeps the run's history.csv.

    Evaluations are told to whoever prints them. On resuming, all go on from `turn`.
    """

    def __init__(
        self,
        run_dir: RunDir,
        plan: Plan,
        address: Address,
        *,
        turn: int,
        tell: Callable[[Evaluated], None],
    ) -> None:
        folder = run_dir.module(address)
        super().__init__(folder / "metrics.jsonl", turn=turn)
        self._tell = tell
        self._history: History | None = None
        if address == plan.grid.rows[-1][0]:
            clock, rows = folder / "clock.csv", plan.grid.depth
            try:
                self._history = History(run_dir.history, clock, rows=rows, turn=turn)
            except BaseException:
                super().close()
                raise

    def lesson(self, *, turn: int, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """One training step."""
        super().lesson(turn=turn, step=step, epoch=epoch, values=values)
        if self._history is not None:
            self._history.trained(turn)

    def result(self, turn: int, result: Result) -> None:
        """One evaluation."""
        super().result(turn, result)
        if self._history is not None:
            self._history.evaluated(turn, result)
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

    def close(self) -> None:
        """Nothing more will come."""
        super().close()
        if self._history is not None:
            self._history.close()
