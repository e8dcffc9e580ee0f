"""Which head each module has: what it reads, how wide it is, what it writes."""

from dataclasses import dataclass

from partition.heads.layers import chosen_layers, pyramid_depth, strides
from partition.heads.spec import HeadSpec
from partition.networks.block import Network
from partition.sharing import pooled_shape, window
from partition.spans import Span
from partition.wiring import TAILS, HeadKind, Wiring


def hidden_units(base: int, groups: int = 1, ratio: float = 1.0) -> int:
    """F of 1c2f: 128 * w0 / 16 for a head that reads all groups (`ratio` 1).

    One that reads its own slice only (0) has the G-th part of it, and one that hears a part of the
    others something in between (spec §1.3).
    """
    units = 128.0
    if ratio == 0:
        units = 128 / groups
    elif ratio < 1:
        units = int(128 / groups) + int(ratio * (groups - 1) * 128 / groups)
    return max(1, int(units * base / 16))


@dataclass(frozen=True, kw_only=True)
class Heads:
    """The heads of one plan. `made[i]` is the shape of what the first i blocks make."""

    wiring: Wiring
    net: Network
    rows: int
    classes: int
    made: list[tuple[int, ...]]

    def place(self, k: int) -> float | None:
        """From 0 at the first row with an auxiliary net to 1 at the last; None for others."""
        auxiliary = self.rows - (self.wiring.tail in TAILS or self.net.classifies)
        if k >= auxiliary:
            return None
        return k / (auxiliary - 1) if auxiliary > 1 else 0.0

    def of(self, k: int, stop: int, group: int, groups: int) -> HeadSpec:
        """The head behind block `stop - 1`, as one of the `groups` modules of row k has it."""
        wiring, shape = self.wiring, self.made[stop]
        own = Span.of(shape[0], group, groups)
        gathers = wiring.share != "none" and groups > 1
        channels = own.size
        if gathers:
            others = (h for h in range(groups) if h != group)
            channels += sum(
                len(window(shape[0], groups, wiring.ratio, reader=group, source=h)) for h in others
            )
        pool = wiring.pool if wiring.share == "pooled" else None
        last = self.place(k) is None
        kind = wiring.head
        if last:
            kind = "none" if self.net.classifies else TAILS[wiring.tail]
        embeds = 0 if last else wiring.embeds
        votes = last or (not embeds and kind not in ("sim", "none"))
        ratio = (wiring.ratio if gathers else 0.0) if groups > 1 else 1.0
        return HeadSpec(
            kind=kind,
            shape=pooled_shape((channels, *shape[1:]), pool),
            hidden=hidden_units(self.net.base, groups, ratio),
            writes=embeds or (self.classes if votes else 0),
            votes=votes,
            gathers=gathers,
            own=own,
            pool=pool,
            ratio=wiring.ratio if gathers else 1.0,
            room=wiring.room,
            keeps=self._keeps(shape),
            zero=wiring.zero,
            copies=self._copies(k, stop, alone=groups if not gathers else 1)
            if kind == "layers"
            else (),
        )

    def _keeps(self, shape: tuple[int, ...]) -> bool:
        """Whether convolutions leave these maps as they are: in the last stage, if at all."""
        return self.wiring.keeps and shape[0] == self.net.blocks[-1].width

    def _copies(self, k: int, stop: int, *, alone: int) -> tuple[tuple[int, int], ...]:
        """The layers that row k's net copies, thinner for a head that is `alone` of so many."""
        depth = self.wiring.layers
        if self.wiring.pyramid:
            depth = pyramid_depth(depth, k, self.rows)
        blocks = self.net.blocks
        chosen = chosen_layers(stop - 1, len(blocks), depth)
        grown = strides(blocks[stop - 1].width, [blocks[i].width for i in chosen])
        return tuple((max(1, width // alone), stride) for width, stride in grown)

    @property
    def readout(self) -> HeadSpec:
        """The head behind everything: all maps of the last row, as they are."""
        return self._behind(self.wiring.readout)

    @property
    def linear(self) -> HeadSpec:
        """Global average pooling and one linear layer: the end of an undivided network."""
        return self._behind("none" if self.net.classifies else "0c1f")

    def _behind(self, kind: HeadKind) -> HeadSpec:
        shape = self.made[-1]
        return HeadSpec(
            kind=kind,
            shape=shape,
            hidden=hidden_units(self.net.base),
            writes=self.classes,
            votes=True,
            gathers=True,
            own=Span.whole(shape[0]),
            keeps=self._keeps(shape),
            zero=self.wiring.zero,
        )
