"""What local methods have in common: their auxiliary nets, and how a row's groups look at peers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import softmax

from partition.advanced import Advanced
from partition.build import LocalModule
from partition.config import GridConfig
from partition.wiring import AuxiliaryKind, Share, Tail, Wiring
from workers.ballot import Reported
from workers.data.config import DataConfig
from workers.losses import diversity
from workers.step import Inbox, Step, Vote, exchange


class Local:
    """A method that grid and dataset leave as it is, and that has nothing wrong by itself."""

    network: ClassVar[str] = "resnet32"
    reports: ClassVar[Reported] = "network"

    def wiring(self) -> Wiring:
        """The forward route, nothing else."""
        return Wiring()

    def settled(self, grid: GridConfig, data: DataConfig) -> Self:
        """The same: nothing is left open."""
        return self

    def problems(self, grid: GridConfig, data: DataConfig) -> Iterator[str]:
        """None."""
        yield from ()

    def notes(self, grid: GridConfig, data: DataConfig) -> Iterator[str]:
        """None."""
        yield from ()

    def prepared(self, module: LocalModule) -> list[torch.optim.Optimizer]:
        """None: the run's own optimiser updates everything."""
        return []

    def inspect(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[dict[str, float]]:
        """Nothing."""
        yield from ()
        return {}

    def rounds(
        self, module: LocalModule, features: Tensor
    ) -> Iterator[tuple[str, int, Callable[[], object]]]:
        """Nothing: a step is one forward and one backward pass."""
        yield from ()


@dataclass(frozen=True, kw_only=True)
class Auxiliary(Local):
    """Which auxiliary net every module learns from."""

    head: AuxiliaryKind = "1c2f"
    """Auxiliary net of every module. 1c2f: one convolution and two linear layers. mlp, mlp-sr, cnn:
    those of DGL. layers: copies of the layers to come (AugLocal)."""
    layers: Advanced[int] = 2
    """Blocks that the auxiliary net copies, for --head layers."""
    pyramid: Advanced[bool] = False
    """Copy fewer blocks in deeper rows, down to half of --layers."""

    def wiring(self) -> Wiring:
        """The net of every module; the read-out's is like it, where there is anything to copy."""
        return replace(
            super().wiring(),
            head=self.head,
            layers=self.layers,
            pyramid=self.pyramid,
            readout="1c2f" if self.head == "layers" else self.head,
        )

    def problems(self, grid: GridConfig, data: DataConfig) -> Iterator[str]:
        """What can not be."""
        yield from super().problems(grid, data)
        if self.pyramid and self.head != "layers":
            yield "--pyramid shapes the nets of --head layers: add that, or leave --pyramid out"


@dataclass(frozen=True, kw_only=True)
class Peers(Local):
    """Local learning in groups: a module may look at what its peers see and say."""

    share: Advanced[Share] = "none"
    """What the groups of a row show each other, without gradient: their maps pooled to --pool,
    whole maps as in the paper, or nothing."""
    share_ratio: Advanced[float] = 1.0
    """Share of every other group's channels that an auxiliary net reads."""
    pool: Advanced[int] = 8
    """Height and width of the maps that groups show each other, for --share pooled."""
    diversity: Advanced[float] = 0.0
    """Weight of the term that keeps the wrong answers of groups apart; 0 is off."""
    temperature: Advanced[float] = 3.0
    """Temperature of the softmax in the diversity term."""
    tail: Advanced[Tail] = "fc"
    """How the network ends. fc: in pooling and a linear layer. mlp: in pooling and an MLP. aux: in
    an auxiliary net like every row's. head: in such a net, and a read-out head behind it."""

    def wiring(self) -> Wiring:
        """Features travel in the row if shared, softmax vectors if there is a diversity term."""
        return replace(
            super().wiring(),
            tail=self.tail,
            share=self.share,
            ratio=self.share_ratio,
            pool=self.pool,
            compare=self.diversity > 0,
        )

    def problems(self, grid: GridConfig, data: DataConfig) -> Iterator[str]:
        """Weights that can not be, and what has no effect."""
        yield from super().problems(grid, data)
        if self.diversity < 0:
            yield f"--diversity {self.diversity:g}: a weight of 0 (off) or more"
        if self.temperature <= 0:
            yield f"--temperature {self.temperature:g}: must be above 0"
        if self.share == "none" and 0 < self.share_ratio < 1:
            yield f"--share-ratio {self.share_ratio:g} is of what is shared: add --share maps"

    def look(self, module: LocalModule, h: Tensor) -> Step[Tensor]:
        """What the head reads: the own features and, if shared, the peers' without gradient."""
        own = module.pooled(h)
        others: list[Tensor] = []
        if self.share != "none":
            others = yield from exchange("features", module.shown(own))
        return module.join(own, others)

    def differ(
        self, module: LocalModule, logits: Tensor | None, labels: Tensor
    ) -> Step[dict[str, Tensor]]:
        """The diversity term, by name, if there is one (spec §1.5)."""
        peers = module.groups - 1
        if not self.diversity or not peers or logits is None:
            return {}
        vote = softmax(logits / self.temperature, dim=1)
        others = yield from exchange("votes", [vote] * peers)
        return {"diversity": self.diversity * diversity(vote, others, labels)}

    def vote(self, module: LocalModule, inbox: Inbox) -> Step[Vote]:
        """Trunk and head, as in learning."""
        h = module.trunk(inbox.features)
        logits = yield from self.answer(module, h)
        return Vote(features=h, logits=logits)

    def answer(self, module: LocalModule, h: Tensor) -> Step[Tensor | None]:
        """The class logits that the module votes with, if its head writes any."""
        if not module.plan.head.votes:
            return None
        return module.head((yield from self.look(module, h)))
