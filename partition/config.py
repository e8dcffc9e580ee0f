"""The command line's words for the network and the grid."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GridConfig:
    """Which network, and how it is cut."""

    network: str = "resnet32"
    """mlp, resnet8, resnet20, resnet32, resnet44, resnet56 or resnet110."""
    widths: tuple[int, ...] | None = None
    """Channels of stem and stages (ResNets: 4 numbers, 16 16 32 64), or of the MLP's layers."""
    depth: int = 1
    """Cuts in depth: how many rows of modules the trunk has."""
    groups: tuple[int, ...] = (1,)
    """Neuron groups in width: one number, or one per row (a ragged grid)."""
    cuts: tuple[str, ...] = ("macs",)
    """macs (the slowest process has the fewest), even, or paper (the published tables).
    Or a list: the last block of every module but the last one, for example s1b4 s2b4."""
    window: int = 4
    """Batches that a row may run ahead of the next one. Any window gives the same numbers."""

    @property
    def groups_per_row(self) -> tuple[int, ...]:
        """One number per row, if one was given for all."""
        return self.groups * self.depth if len(self.groups) == 1 else self.groups
