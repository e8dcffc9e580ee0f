"""Decoupled greedy learning: cut in depth (Belilovsky et al., ICML 2020)."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

from partition.build import LocalModule
from partition.wiring import HeadKind, Tail, Wiring
from workers.step import Inbox, Lesson, Step, Vote, send_ahead


@dataclass(frozen=True, kw_only=True)
class DGL:
    """DGL: every row learns from its own auxiliary net; nothing travels but features, forward."""

    head: HeadKind = "1c2f"
    """Auxiliary net: so many convolutions, so many fully connected layers."""
    tail: Tail = "fc"
    """The end of the trunk. fc: average pooling and one linear layer, as in the papers' tables.
    head: an auxiliary net and a read-out head behind it, as in GN-DGL's released code."""

    def wiring(self) -> Wiring:
        """The forward route, nothing else."""
        return Wiring(head=self.head, tail=self.tail)

    def problems(self) -> Iterator[str]:
        """None: every combination is allowed."""
        yield from ()

    def learn(self, module: LocalModule, inbox: Inbox) -> Step[Lesson]:
        """One batch (Algorithm 1): forward, send, own loss."""
        h = module.trunk(inbox.features)
        yield from send_ahead(h)
        logits = module.head(h)
        return Lesson(losses={"task": cross_entropy(logits, inbox.labels)}, logits=logits)

    def vote(self, module: LocalModule, features: Tensor) -> Step[Vote]:
        """Trunk and head."""
        h = module.trunk(features)
        return Vote(features=h, logits=module.head(h))
        yield  # a step is a generator, also where nothing leaves the module
