"""The command line's words for the network and the grid."""

from dataclasses import dataclass

from partition.advanced import Advanced
from partition.networks.block import Style


@dataclass(frozen=True, kw_only=True)
class GridConfig:
    """Which network, and how it is cut."""

    network: str = "auto"
    """Network; see `list networks`. auto: resnet32, for dtp simple_vgg."""
    widths: Advanced[tuple[int, ...] | None] = None
    """Channels of the network, if they are to be others than its own: of the stem and the three
    stages of a ResNet, else of every layer."""
    dropout: Advanced[float] = 0.0
    """Share of the channels that are dropped, in the residual blocks of a ResNet or behind every
    layer of a VGG."""
    slope: Advanced[float] = 0.0
    """Slope of a VGG's rectifiers below zero."""
    depth: int = 1
    """Number of rows: the modules in depth."""
    groups: tuple[int, ...] = (1,)
    """Number of neuron groups: the modules of every row, or a number for each row."""
    replicas: Advanced[tuple[int, ...]] = (1,)
    """Number of processes that share out the batch of a row (dtp alone): one number, or one for
    each row. The result is the same but for the order in which gradients are added up."""
    cuts: tuple[str, ...] = ("macs",)
    """Where the network is cut in depth. macs, time: where the slowest process has the least to do,
    by its count or as measured here. even: into equally many blocks. single: one block in each row,
    the rest in the last. paper, balanced: as published. Or the last block of each module but the
    last: s1b4 s2b4."""
    window: int = 4
    """Batches that a row may be ahead of the next row; it changes no result."""

    replay: Advanced[int] = 0
    """Batches that a row keeps, to learn from them again while the row before it is slow (DGL's
    buffers); 0 is off. What is learnt then depends on time, and is logged."""

    @property
    def style(self) -> Style:
        """What varies the network without changing its shapes."""
        return Style(dropout=self.dropout, slope=self.slope)

    @property
    def groups_per_row(self) -> tuple[int, ...]:
        """One number per row, if one was given for all."""
        return self.groups * self.depth if len(self.groups) == 1 else self.groups

    @property
    def replicas_per_row(self) -> tuple[int, ...]:
        """Likewise."""
        return self.replicas * self.depth if len(self.replicas) == 1 else self.replicas

    @property
    def processes_per_row(self) -> tuple[int, ...]:
        """Groups, or replicas: no row has both."""
        rows = zip(self.groups_per_row, self.replicas_per_row, strict=False)
        return tuple(groups * replicas for groups, replicas in rows)
