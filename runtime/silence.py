"""A recorder for runs whose traces are already there: it keeps results, and writes nothing."""

from workers.ballot import Result


class Silence:
    """Keeps the results of evaluations; forgets lessons."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def lesson(self, **_: object) -> None:
        """One training step."""

    def result(self, turn: int, result: Result) -> None:
        """One evaluation."""
        self.results.append(result)
