"""The two ends of a route, and what it means to wait at one.

A module that may have to wait says so first: it yields a `Wait`, and whoever drives it resumes it
when the end is ready, or when there is nothing better to do than to block there.

    message = yield from receive(end, turn)
    yield from send(end, message)

Waiting is for another module alone. Packing a message, which on a GPU includes the computation of
its tensors, is the sender's own work: it comes before the sender says that it waits.
"""

from collections.abc import Generator
from dataclasses import dataclass
from time import monotonic
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

    def pack(self, message: Message) -> None:
        """Copy the message to where it leaves from; never waits for another module.

        The tensors may be changed as soon as this returns. Raises WrongMessage.
        """
        ...

    def send(self) -> None:
        """Send what was packed, in order of turns; waits while `window` messages are not asked for.

        Raises PeerLost.
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


@dataclass
class Wait:
    """A module is about to wait at one end of a route; `over` is when that ended (`monotonic`)."""

    end: Sender | Receiver
    turn: int
    verb: Literal["send", "receive"]
    over: float | None = None

    @property
    def peer(self) -> str:
        """The module at the other end."""
        route = self.end.route
        return str(route.target if self.verb == "send" else route.source)


Waits = Generator[Wait, None, None]


def send(end: Sender, message: Message) -> Waits:
    """Send `message`, saying so before a possible wait; what packing it takes is the sender's."""
    end.pack(message)
    wait = Wait(end, message.turn, "send")
    yield wait
    end.send()
    wait.over = monotonic()


def receive(end: Receiver, turn: int) -> Generator[Wait, None, Message]:
    """The message of `turn`, saying so before a possible wait."""
    wait = Wait(end, turn, "receive")
    yield wait
    message = end.receive(turn)
    wait.over = monotonic()
    return message
