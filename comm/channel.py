"""The two ends of a route, and what it means to wait at one.

A module that may have to wait says so first: it yields a `Wait`, and whoever drives it resumes it
when the end is ready, or when there is nothing better to do than to block there.

    message = yield from receive(end, turn)
    yield from send(end, message)
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, Protocol

from comm.message import Message
from comm.route import Route


class Sender(Protocol):
    """The sending end; it holds the route's window.

    `blocks`: trying while not `ready` waits for another process; otherwise it would wait for ever.
    """

    route: Route
    blocks: bool

    def ready(self) -> bool:
        """Whether `send` would return at once. False also where only trying can tell."""
        ...

    def send(self, message: Message) -> None:
        """Send, in order of turns; waits while `window` messages have not been asked for.

        The tensors may be changed as soon as this returns. Raises PeerLost, WrongMessage.
        """
        ...

    def close(self) -> None:
        """Wait until everything sent has arrived. Closing twice is fine."""
        ...


class Receiver(Protocol):
    """The receiving end; `blocks` as for the sending end."""

    route: Route
    blocks: bool

    def ready(self) -> bool:
        """Whether `receive` would return at once. False also where only trying can tell."""
        ...

    def receive(self, turn: int) -> Message:
        """The message of `turn`; its tensors are valid until the next receive here.

        Raises PeerLost, WrongMessage.
        """
        ...

    def close(self) -> None:
        """Take nothing more. Closing twice is fine."""
        ...


@dataclass(frozen=True)
class Wait:
    """A module is about to wait at one end of a route."""

    end: Sender | Receiver
    turn: int
    verb: Literal["send", "receive"]

    @property
    def peer(self) -> str:
        """The module at the other end."""
        route = self.end.route
        return str(route.target if self.verb == "send" else route.source)


Waits = Generator[Wait, None, None]


def send(end: Sender, message: Message) -> Waits:
    """Send `message`, saying so before a possible wait."""
    yield Wait(end, message.turn, "send")
    end.send(message)


def receive(end: Receiver, turn: int) -> Generator[Wait, None, Message]:
    """The message of `turn`, saying so before a possible wait."""
    yield Wait(end, turn, "receive")
    return end.receive(turn)
