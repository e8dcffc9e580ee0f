"""A step's requests carried out: what leaves the module is sent, what it asks for is received.

The time of every wait is added up for the peer that was waited for.
"""

from collections.abc import Generator, Sequence
from time import monotonic, perf_counter
from typing import Any, TypeVar

import torch
from torch import Tensor

from comm.channel import Sender, Wait, Waits, receive, send
from comm.message import Flag, Message
from comm.ports import Ports
from partition.build import LocalModule
from workers.schedule import Turn
from workers.state import State
from workers.step import (
    Alive,
    AwaitTarget,
    Exchange,
    Inbox,
    SendAhead,
    SendContext,
    SendTarget,
    Step,
)

T = TypeVar("T")


class Travel:
    """One module's way to the others, through its `ports`, to `peers` of them in its row.

    `aside` sums the seconds of a turn that do not count; `flags` go with everything that is sent.
    """

    def __init__(self, module: LocalModule, ports: Ports, state: State, peers: int) -> None:
        self.module, self.ports, self.state = module, ports, state
        self._peers = peers
        self.aside = 0.0
        self.flags = Flag.NONE

    def begin(self, turn: Turn) -> None:
        """A turn begins."""
        self.aside = 0.0
        self.flags = Flag.NONE if turn.learns else Flag.VOTE

    def carry(self, turn: Turn, inbox: Inbox, step: Step[T]) -> Generator[Wait, None, T]:
        """Drive a method's step: carry out what it yields, answer with what arrives."""
        answer: Any = None
        while True:
            try:
                word = step.send(answer)
            except StopIteration as end:
                return end.value
            match word:
                case SendAhead(features):
                    answer = None
                    if self.ports.ahead:
                        with torch.no_grad():
                            features = self.module.outlet(features)
                    yield from self.spread(turn, inbox, self.ports.ahead, features)
                case SendContext(part):
                    answer = None
                    yield from self.spread(turn, inbox, self.ports.inputs, part)
                case AwaitTarget():
                    parts: list[Tensor] = []
                    for end in self.ports.targets_heard:
                        heard = yield from self.timed(receive(end, turn.index))
                        parts.append(heard.tensors[0])
                    answer = parts[0] if len(parts) == 1 else torch.cat(parts)
                case SendTarget(target):
                    answer = None
                    yield from self.spread(turn, inbox, self.ports.targets_sent, target)
                case Alive():
                    answer = None
                    self.state.does(self.state.doing)
                case Exchange(name, tensors):
                    answer = []
                    if self._peers:
                        group = self.ports.groups[name]  # a name that the wiring must know
                        answer = yield from self.timed(
                            group.exchange(turn.index, tensors, self.flags)
                        )

    def spread(self, turn: Turn, inbox: Inbox, ends: Sequence[Sender], *tensors: Tensor) -> Waits:
        """The same tensors through every one of `ends`, to replicas their share of them."""
        for end in ends:
            part = end.route.part(inbox.batch)
            message = Message(
                turn=turn.index,
                step=inbox.step,
                rows=part.stop - part.start,
                flags=self.flags,
                tensors=[tensor[part] for tensor in tensors],
            )
            yield from self.timed(send(end, message))

    def untimed(self, waits: Generator[Wait, None, T]) -> Generator[Wait, None, T]:
        """Let `waits` happen, and count nothing of it as part of the turn."""
        began, waited = perf_counter(), dict(self.state.waited)
        result = yield from waits
        self.state.waited = waited
        self.aside += perf_counter() - began
        return result

    def timed(self, waits: Generator[Wait, None, T]) -> Generator[Wait, None, T]:
        """Let `waits` happen, and put the time of each down to the peer it is for.

        What is done between two of them, like packing a message, is the module's own time.
        """
        doing, began = self.state.doing, 0.0
        wait: Wait | None = None
        while True:
            try:
                following = next(waits)  # returns from the wait before, and may block in it
            except StopIteration as end:
                result: T = end.value
                break
            finally:
                if wait is not None:
                    over = monotonic() if wait.over is None else wait.over
                    waited = self.state.waited
                    waited[wait.peer] = waited.get(wait.peer, 0.0) + over - began
            wait, began = following, monotonic()
            self.state.waits(wait)
            yield wait
        self.state.does(doing)
        return result
