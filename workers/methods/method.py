"""What a learning rule must offer. A method is a frozen dataclass: configuration, help, factory."""

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

from partition.build import LocalModule
from partition.wiring import Wiring
from workers.step import Inbox, Lesson, Step, Vote


class Method(Protocol):
    """One learning rule, written once for any number of processes."""

    def wiring(self) -> Wiring:
        """What the planner must build and connect."""
        ...

    def problems(self) -> Iterator[str]:
        """What is wrong with this configuration, if anything."""
        ...

    def learn(self, module: LocalModule, inbox: Inbox) -> Step[Lesson]:
        """The algorithm for one training batch."""
        ...

    def vote(self, module: LocalModule, features: Tensor) -> Step[Vote]:
        """The same road in an evaluation turn, without a loss."""
        ...
