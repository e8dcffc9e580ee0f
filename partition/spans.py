"""Which channels of a layer a group owns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Channels `start` to `stop` (exclusive) of `total`."""

    start: int
    stop: int
    total: int

    @classmethod
    def whole(cls, total: int) -> "Span":
        """All channels."""
        return cls(0, total, total)

    @classmethod
    def of(cls, total: int, group: int, groups: int) -> "Span":
        """The channels of `group`, as equal as possible: the first ones get the remainder."""
        size, extra = divmod(total, groups)
        start = group * size + min(group, extra)
        return cls(start, start + size + (group < extra), total)

    @property
    def size(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)

    def __str__(self) -> str:
        return str(self.total) if self.size == self.total else f"{self.start}:{self.stop}"
