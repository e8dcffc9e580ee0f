"""A receiving end that can be asked whether something has arrived, over a transport that can not.

A thread takes one message after the other, as many ahead as the route's window. It is a daemon: if
its peer is lost, so is the process, and whoever waits at the mailbox hears why.
"""

from dataclasses import replace
from queue import Queue
from threading import Thread

from comm.channel import Receiver
from comm.message import Message, check_turn


class Mailbox:
    """The first `turns` messages of a `Receiver` that blocks, in their order."""

    blocks = True

    def __init__(self, end: Receiver, turns: int) -> None:
        self.route = end.route
        self._end, self._turns = end, turns
        self._arrived: Queue[Message | Exception] = Queue(maxsize=end.route.window)
        self._thread: Thread | None = None

    def ready(self) -> bool:
        """Whether `receive` would return at once."""
        self._start()
        return not self._arrived.empty()

    def receive(self, turn: int) -> Message:
        """The next message; its tensors are the receiver's own. Raises what the end raised."""
        self._start()
        message = self._arrived.get()
        if isinstance(message, Exception):
            raise message
        check_turn(self.route, expected=turn, got=message.turn)
        return message

    def close(self) -> None:
        """Take nothing more."""
        self._end.close()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._listen, name=f"mailbox {self.route}", daemon=True)
            self._thread.start()

    def _listen(self) -> None:
        try:
            for turn in range(self._turns):
                message = self._end.receive(turn)
                tensors = tuple(tensor.clone() for tensor in message.tensors)
                self._arrived.put(replace(message, tensors=tensors))
                if message.stop:
                    break
        except Exception as error:  # told to whoever waits
            self._arrived.put(error)
