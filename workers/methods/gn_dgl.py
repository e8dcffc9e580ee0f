"""Group-wise decoupled greedy learning: cut in depth and in width (GN-DGL)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from partition.advanced import Advanced
from partition.build import LocalModule
from partition.wiring import Share, Tail
from workers.ballot import Reported
from workers.methods.local import Auxiliary, Peers
from workers.step import Inbox, Lesson, Step, send_ahead


@dataclass(frozen=True, kw_only=True)
class GNDGL(Auxiliary, Peers):
    """GN-DGL: cut in depth and width; the groups of a row show each other what they see."""

    reports: ClassVar[Reported] = "ensemble"

    share: Share = "pooled"
    diversity: float = 0.5
    tail: Advanced[Tail] = "head"

    def learn(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[Lesson]:
        """One batch (spec §1.5): L = CE + weight * diversity, private to the module."""
        h = module.trunk(inbox.features)
        yield from send_ahead(h)
        logits = module.head((yield from self.look(module, h)))
        losses = {"task": cross_entropy(logits, labels)}
        losses |= yield from self.differ(module, logits, labels)
        return Lesson(losses=losses, logits=logits)
