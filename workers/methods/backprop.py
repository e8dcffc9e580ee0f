"""Plain end-to-end training: the baseline everything is compared with."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

from partition.build import LocalModule
from partition.wiring import Wiring
from workers.step import Inbox, Lesson, Step, Vote


@dataclass(frozen=True, kw_only=True)
class Backprop:
    """Backprop: the whole network as one module in one process."""

    def wiring(self) -> Wiring:
        """One module that ends in average pooling and one linear layer."""
        return Wiring(tail="fc", local=False)

    def problems(self) -> Iterator[str]:
        """None: there is nothing to choose."""
        yield from ()

    def learn(self, module: LocalModule, inbox: Inbox) -> Step[Lesson]:
        """One batch."""
        logits = module.head(module.trunk(inbox.features))
        return Lesson(losses={"task": cross_entropy(logits, inbox.labels)}, logits=logits)
        yield  # a step is a generator, also where nothing leaves the module

    def vote(self, module: LocalModule, features: Tensor) -> Step[Vote]:
        """The same, without a loss."""
        h = module.trunk(features)
        return Vote(features=h, logits=module.head(h))
        yield
