"""Group-wise decoupled greedy learning: cut in depth and in width (GN-DGL)."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from partition.build import LocalModule
from partition.wiring import HeadKind, Share, Tail, Wiring
from workers.losses import diversity
from workers.step import Inbox, Lesson, Step, Vote, exchange, send_ahead


@dataclass(frozen=True, kw_only=True)
class GNDGL:
    """GN-DGL: every neuron group of every row learns alone, and looks at its peers."""

    share: Share = "pooled"
    """What a row's modules show each other, without gradient, before their heads.
    maps: whole maps (the paper); pooled: maps average-pooled to --pool; none."""
    pool: int = 8
    """Side of the maps that are shared, for --share pooled."""
    diversity: float = 0.5
    """Weight of the diversity term, which keeps the groups' wrong answers apart; 0 is off."""
    temperature: float = 3.0
    """Softmax temperature of the diversity term."""
    head: HeadKind = "1c2f"
    """Auxiliary net: so many convolutions, so many fully connected layers."""
    tail: Tail = "head"
    """The end of the trunk. head: an auxiliary net as in every row, and a read-out head behind it.
    fc: average pooling and one linear layer in every module of the last row."""

    def wiring(self) -> Wiring:
        """Features travel in the row if shared, softmax vectors if there is a diversity term."""
        return Wiring(
            head=self.head,
            tail=self.tail,
            share=self.share,
            pool=self.pool,
            compare=self.diversity > 0,
        )

    def problems(self) -> Iterator[str]:
        """Weights that can not be."""
        if self.diversity < 0:
            yield f"--diversity {self.diversity}: a weight of 0 (off) or more"
        if self.temperature <= 0:
            yield f"--temperature {self.temperature}: must be above 0"

    def learn(self, module: LocalModule, inbox: Inbox) -> Step[Lesson]:
        """One batch (spec §1.5): L = CE + weight * diversity, private to the module."""
        h = module.trunk(inbox.features)
        yield from send_ahead(h)
        logits = yield from self._read(module, h)
        losses = {"task": cross_entropy(logits, inbox.labels)}
        if self.diversity > 0:
            vote = softmax(logits / self.temperature, dim=1)
            others = yield from exchange("votes", vote)
            if others:
                losses["diversity"] = self.diversity * diversity(vote, others, inbox.labels)
        return Lesson(losses=losses, logits=logits)

    def vote(self, module: LocalModule, features: Tensor) -> Step[Vote]:
        """Trunk and head."""
        h = module.trunk(features)
        logits = yield from self._read(module, h)
        return Vote(features=h, logits=logits)

    def _read(self, module: LocalModule, h: Tensor) -> Step[Tensor]:
        """The head's logits, (batch, classes), from the own features and, if shared, the peers'."""
        own = module.shown(h)
        others: list[Tensor] = []
        if self.share != "none":
            others = yield from exchange("features", own)
        return module.head(module.join(own, others))
