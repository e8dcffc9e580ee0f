"""Plain end-to-end training: the baseline everything is compared with."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

from partition.build import LocalModule
from partition.wiring import Wiring
from workers.methods.local import Local
from workers.step import Inbox, Lesson, Step, Vote


@dataclass(frozen=True, kw_only=True)
class Backprop(Local):
    """Backprop: the whole network as one module in one process, the baseline."""

    def wiring(self) -> Wiring:
        """One module that ends in average pooling and one linear layer."""
        return Wiring(tail="fc", local=False)

    def learn(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[Lesson]:
        """One batch."""
        logits = module.head(module.trunk(inbox.features))
        yield from ()  # a step is a generator, also where nothing leaves the module
        return Lesson(losses={"task": cross_entropy(logits, labels)}, logits=logits)

    def vote(self, module: LocalModule, inbox: Inbox) -> Step[Vote]:
        """The same, without a loss."""
        h = module.trunk(inbox.features)
        yield from ()
        return Vote(features=h, logits=module.head(h))
