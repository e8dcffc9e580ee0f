"""What a learning rule must offer. A method is a frozen dataclass: configuration, help, factory."""

from collections.abc import Callable, Iterator
from typing import ClassVar, Protocol, Self

import torch
from torch import Tensor

from partition.build import LocalModule
from partition.config import GridConfig
from partition.wiring import Wiring
from workers.ballot import Reported
from workers.data.config import DataConfig
from workers.step import Inbox, Lesson, Step, Vote


class Method(Protocol):
    """One learning rule, written once for any number of processes.

    `network` is what it trains if no other network is named. `reports` says which accuracy its
    paper reports: the network's own answer, or the ensemble's.
    """

    network: ClassVar[str]
    reports: ClassVar[Reported]

    def wiring(self) -> Wiring:
        """What the planner must build and connect."""
        ...

    def settled(self, grid: GridConfig, data: DataConfig) -> Self:
        """The same with nothing left open that this grid and dataset decide."""
        ...

    def problems(self, grid: GridConfig, data: DataConfig) -> Iterator[str]:
        """What is wrong with this configuration, if anything."""
        ...

    def notes(self, grid: GridConfig, data: DataConfig) -> Iterator[str]:
        """What a person should know of what was settled, in sentences."""
        ...

    def prepared(self, module: LocalModule) -> list[torch.optim.Optimizer]:
        """Called once per module: the optimisers that the method steps itself."""
        ...

    def learn(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[Lesson]:
        """The algorithm for one training batch; `labels` is (batch,)."""
        ...

    def inspect(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[dict[str, float]]:
        """What to record of the module beside, before it is updated; its time does not count."""
        ...

    def rounds(
        self, module: LocalModule, features: Tensor
    ) -> Iterator[tuple[str, int, Callable[[], object]]]:
        """What a step does beside its forward and backward pass, for whoever measures it.

        Its name, how often, and one round of it. `features` are (batch, *reads), of a module of one
        block.
        """
        ...

    def vote(self, module: LocalModule, inbox: Inbox) -> Step[Vote]:
        """The same road in an evaluation turn, without labels and without a loss."""
        ...
