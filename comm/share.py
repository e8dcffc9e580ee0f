"""Which part of a batch a module has: all of it, or one of several shares (replicas of a row)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """Share `index` of `of` shares of every batch, as equal as possible; prints `1/3`."""

    index: int = 0
    of: int = 1

    def rows(self, batch: int) -> range:
        """Its rows of a batch; none, where there are fewer rows than shares."""
        return range(batch * self.index // self.of, batch * (self.index + 1) // self.of)

    def part(self, batch: int) -> slice:
        """The same, to take them from the whole batch."""
        rows = self.rows(batch)
        return slice(rows.start, rows.stop)

    def meets(self, other: "Share") -> bool:
        """Whether there can be rows that both have."""
        return (
            self.index * other.of < (other.index + 1) * self.of
            and other.index * self.of < (self.index + 1) * other.of
        )

    def common(self, other: "Share", batch: int) -> slice:
        """The rows of a batch that both have, counted from the first of its own."""
        mine, theirs = self.rows(batch), other.rows(batch)
        start = max(mine.start, theirs.start)
        stop = max(start, min(mine.stop, theirs.stop))
        return slice(start - mine.start, stop - mine.start)

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.of}"


WHOLE = Share()
