"""How bytes move: one file per transport, all under one contract test.

A transport does not know why a message travels, only its route.
"""

from types import TracebackType
from typing import Protocol, Self

from comm.channel import Receiver, Sender
from comm.route import Route


class Transport(Protocol):
    """Opens the ends of routes; closing it closes every end it opened."""

    def sender(self, route: Route) -> Sender:
        """The sending end of `route`."""
        ...

    def receiver(self, route: Route) -> Receiver:
        """The receiving end of `route`."""
        ...

    def close(self) -> None:
        """Drain and close every end. Closing twice is fine."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
