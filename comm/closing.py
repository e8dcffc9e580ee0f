"""What a `with` block closes when it is left, however that comes."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """Entering the block gives the object itself, leaving it closes it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of whatever is held."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
