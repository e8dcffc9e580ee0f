"""What a network is to the planner: an ordered list of blocks, each buildable for one group."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Which part of a block to build: one group's, reading all channels or only its own slice.

    `whole` is set for the first block after a cut (and for the image): every group hears all
    groups of the row before.
    """

    group: int
    groups: int
    whole: bool


@dataclass(frozen=True, kw_only=True)
class Style:
    """What may be varied in a network without changing its shapes.

    `dropout`: share of channels that are dropped; `slope` of the rectifiers of VGGs below zero.
    """

    dropout: float = 0.0
    slope: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Block:
    """One indivisible stretch of a network.

    `width` is the number of channels it writes; groups slice them. `build` makes one piece; the
    module maps (batch, channels read, …) to (batch, the piece's slice of `width`, …). `outlet`
    builds what stands between this block and the next one (pooling, dropout): a head behind the
    block reads what is before it. `residual` blocks can be copied by an auxiliary net.
    """

    name: str
    width: int
    build: Callable[[Piece], nn.Module]
    outlet: Callable[[Piece], nn.Module] = lambda _: nn.Identity()
    residual: bool = False


@dataclass(frozen=True, kw_only=True)
class Network:
    """A whole network, from the image to the last features; heads are not part of it.

    `base` is the width that auxiliary nets are measured by: their hidden layer has 8 * base units
    (`spec` §1.3: 128 * w0 / 16). `slices` says that its blocks can be built for a group's slice,
    `even` that groups must divide every width. A network that `classifies` ends in its own class
    logits, which no groups can share out. `takes` names what of a `Style` its blocks look at.
    """

    name: str
    blocks: tuple[Block, ...]
    base: int
    slices: bool = True
    even: bool = True
    classifies: bool = False
    takes: tuple[Literal["dropout", "slope"], ...] = ()

    @property
    def sliceable(self) -> bool:
        """Whether a row may have several groups."""
        return self.slices and not self.classifies
