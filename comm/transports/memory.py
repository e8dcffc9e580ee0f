"""Messages between modules of one process: a bounded queue per route.

It is the debugger's transport and the tests' oracle. One thread drives all modules, so an end
that is not ready can never become so while its caller blocks: that is a Deadlock.
"""

from collections import deque
from dataclasses import replace

import torch
from torch import Tensor

from comm.closing import Closing
from comm.errors import Deadlock
from comm.message import Message, check_outgoing, check_turn, specs_of
from comm.route import Route, TensorSpec


def _copy(tensor: Tensor, spec: TensorSpec) -> Tensor:
    """What another process would get: no graph, and strides that the plan knows."""
    last = spec.layout == "channels_last"
    layout = torch.channels_last if last else torch.contiguous_format
    return tensor.detach().clone(memory_format=layout)


class _Queue:
    """Both ends of one route."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.messages: deque[Message] = deque()


class MemorySender:
    """The sending end of a queue."""

    blocks = False

    def __init__(self, queue: _Queue) -> None:
        self._queue = queue
        self._packed: Message | None = None
        self.route = queue.route

    def ready(self) -> bool:
        """Whether the window has room."""
        return len(self._queue.messages) < self.route.window

    def pack(self, message: Message) -> None:
        """Copy the tensors."""
        check_outgoing(self.route, message)
        specs = specs_of(self.route, message.flags)
        tensors = tuple(map(_copy, message.tensors, specs))
        self._packed = replace(message, tensors=tensors)

    def send(self) -> None:
        """Append to the queue."""
        assert self._packed is not None, f"{self.route}: nothing is packed"
        message, self._packed = self._packed, None
        if not self.ready():
            raise Deadlock(f"{self.route} ({self.route.name}): full at turn {message.turn}")
        self._queue.messages.append(message)

    def close(self) -> None:
        """Nothing to drain: what was sent is in the queue."""


class MemoryReceiver:
    """The receiving end of a queue."""

    blocks = False

    def __init__(self, queue: _Queue) -> None:
        self._queue = queue
        self.route = queue.route

    def ready(self) -> bool:
        """Whether a message is there."""
        return bool(self._queue.messages)

    def receive(self, turn: int) -> Message:
        """Take the oldest message."""
        if not self.ready():
            raise Deadlock(f"{self.route} ({self.route.name}): empty at turn {turn}")
        message = self._queue.messages.popleft()
        check_turn(self.route, expected=turn, got=message.turn)
        return message

    def close(self) -> None:
        """Forget what was not asked for."""
        self._queue.messages.clear()


class Memory(Closing):
    """The transport within one process."""

    def __init__(self) -> None:
        self._queues: dict[int, _Queue] = {}

    def _queue(self, route: Route) -> _Queue:
        return self._queues.setdefault(route.tag, _Queue(route))

    def sender(self, route: Route) -> MemorySender:
        """The sending end of `route`."""
        return MemorySender(self._queue(route))

    def receiver(self, route: Route) -> MemoryReceiver:
        """The receiving end of `route`."""
        return MemoryReceiver(self._queue(route))

    def close(self) -> None:
        """Forget all queues."""
        self._queues.clear()
