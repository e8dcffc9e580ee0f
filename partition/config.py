"""The command line's words for the network and the grid."""

from dataclasses import dataclass

from partition.networks.block import Style


@dataclass(frozen=True, kw_only=True)
class GridConfig:
    """Which network, and how it is cut."""

    network: str = "auto"
    """mlp, resnet8, resnet20, resnet32, resnet32x2, resnet44, resnet56, resnet110,
    vgg6a, vgg6a-x2, vgg6a-x3, cnn6; for dtp simple_vgg or lenet."""
    widths: tuple[int, ...] | None = None
    """Channels of stem and stages (ResNets: 4 numbers, 16 16 32 64), or of every layer."""
    dropout: float = 0.0
    """Share of channels that are dropped: in residual blocks, or behind every layer of a VGG."""
    slope: float = 0.0
    """Slope of a VGG's rectifiers below zero."""
    depth: int = 1
    """Cuts in depth: how many rows of modules the trunk has."""
    groups: tuple[int, ...] = (1,)
    """Neuron groups in width: one number, or one per row (a ragged grid)."""
    replicas: tuple[int, ...] = (1,)
    """Processes that share out the batch in a row (DTP): one number, or one per row. Exact, but
    for the order of sums. What each writes down is of its images alone: losses add up."""
    cuts: tuple[str, ...] = ("macs",)
    """macs (the slowest process has the fewest), time (the same, measured before the start), even,
    or single (the last module has the rest);
    paper or balanced (the published tables, by layers and by memory).
    Or a list: the last block of every module but the last one, for example s1b4 s2b4."""
    window: int = 4
    """Batches that a row may run ahead of the next one. Any window gives the same numbers."""

    replay: int = 0
    """Batches that a row keeps, to go on learning from while the row before is slow (DGL's
    buffers); 0 is off. Not exact: what is read depends on time, and is logged."""

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
