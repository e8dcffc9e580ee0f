"""Decoupled greedy learning: cut in depth (Belilovsky et al., ICML 2020)."""

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn.functional import cross_entropy

from partition.advanced import Advanced
from partition.build import LocalModule
from partition.wiring import Tail, Wiring
from workers.methods.local import Auxiliary
from workers.step import Inbox, Lesson, Step, Vote, send_ahead


@dataclass(frozen=True, kw_only=True)
class DGL(Auxiliary):
    """DGL: cut in depth; every row learns from its own auxiliary net."""

    tail: Advanced[Tail] = "fc"
    """How the network ends. fc: in pooling and a linear layer, as in the papers' tables. mlp: in
    pooling and an MLP, as in DGL's own study. aux: in an auxiliary net like every row's. head:
    in such a net, and a read-out head behind it, as in GN-DGL's released code."""

    def wiring(self) -> Wiring:
        """The forward route, and how it ends."""
        return replace(super().wiring(), tail=self.tail)

    def learn(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[Lesson]:
        """One batch (Algorithm 1): forward, send, own loss."""
        h = module.trunk(inbox.features)
        yield from send_ahead(h)
        logits = module.head(h)
        return Lesson(losses={"task": cross_entropy(logits, labels)}, logits=logits)

    def vote(self, module: LocalModule, inbox: Inbox) -> Step[Vote]:
        """Trunk and head."""
        h = module.trunk(inbox.features)
        yield from ()  # a step is a generator, also where nothing leaves the module
        return Vote(features=h, logits=module.head(h))
