"""What the parts of a cut network compute and hold: each is built once, nowhere, and counted."""

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import nn

from partition.contexts import Contexts, ContextSpec
from partition.counts import Count, count
from partition.decoder import Decoder
from partition.drawing import undrawable
from partition.heads import build_head
from partition.heads.spec import HeadSpec
from partition.mirrors import mirror
from partition.networks.block import Network, Piece
from partition.spans import Span

Shape = tuple[int, ...]
WHOLE = Piece(group=0, groups=1, whole=True)
NOTHING = Count(macs=0, parameters=0, shape=())


class Counts:
    """Counts of a network for images of `shape`; whoever asks decides where it is cut."""

    def __init__(self, net: Network, shape: tuple[int, int, int]) -> None:
        self.net, self.image = net, shape
        self._pieces: dict[tuple[int, Piece, bool], Count] = {}
        self._heads: dict[HeadSpec, Count] = {}
        self._undrawable: dict[tuple[int, Piece] | HeadSpec, list[str]] = {}
        self._contexts: dict[tuple[tuple[ContextSpec, ...], Span, int], Count] = {}

    @cached_property
    def shapes(self) -> list[Shape]:
        """What every block reads, all groups together: the image, then what leaves each block."""
        return self._shapes[0]

    @cached_property
    def made(self) -> list[Shape]:
        """What every block makes, before its outlet; `made[i]` is block i - 1's, as in `shapes`."""
        return self._shapes[1]

    @cached_property
    def _shapes(self) -> tuple[list[Shape], list[Shape]]:
        leaves: list[Shape] = [self.image]
        makes: list[Shape] = [self.image]
        for index in range(len(self.net.blocks)):
            makes.append(self._block(index, WHOLE, leaves[-1], outlet=False).shape)
            leaves.append(self._block(index, WHOLE, leaves[-1]).shape)
        return leaves, makes

    def _block(self, index: int, piece: Piece, shape: Shape, *, outlet: bool = True) -> Count:
        """One block, with its `outlet` or without it."""
        key = index, piece, outlet
        if key not in self._pieces:
            block, sliced = self.net.blocks[index], piece.groups > 1
            with torch.device("meta"):
                built, leads = block.build(piece), block.outlet(piece)
            if (index, piece) not in self._undrawable:
                self._undrawable[index, piece] = [
                    *undrawable(built, f"trunk.{block.name}", sliced=sliced),
                    *undrawable(leads, f"outlet.{block.name}", sliced=sliced),
                ]
            self._pieces[key] = count(nn.Sequential(built, leads) if outlet else built, shape)
        return self._pieces[key]

    def undrawable(self, blocks: range, groups: int, head: HeadSpec) -> Iterator[str]:
        """What no seed can draw of a module with these blocks, of so many groups, and this head."""
        for index in blocks:
            self.piece(index, blocks.start, 0, groups)
            piece = Piece(group=0, groups=groups, whole=index == blocks.start)
            yield from self._undrawable[index, piece]
        self.head(head)
        yield from self._undrawable[head]

    def piece(self, index: int, first: int, group: int, groups: int) -> Count:
        """Block `index` of one group, in a module that begins with block `first`."""
        shape = self.shapes[index]
        whole = index == first
        alike = 0 if self.net.even else group  # groups of equal size cost the same
        if not whole:
            shape = (Span.of(shape[0], alike, groups).size, *shape[1:])
        return self._block(index, Piece(group=alike, groups=groups, whole=whole), shape)

    def head(self, spec: HeadSpec) -> Count:
        """A head."""
        if spec not in self._heads:
            with torch.device("meta"):
                built = build_head(spec)
            self._undrawable[spec] = [*undrawable(built, f"head {spec.kind}")]
            self._heads[spec] = count(built, spec.shape)
        return self._heads[spec]

    def contexts(self, specs: tuple[ContextSpec, ...], own: Span, reads: int) -> Count:
        """What makes contexts of these kinds for the `own` channels of what block `reads` reads."""
        if not specs:
            return NOTHING
        key = specs, own, reads
        if key not in self._contexts:
            with torch.device("meta"):
                built = Contexts(specs, own, self.shapes[reads][1:])
            self._contexts[key] = count(built, *(spec.shape for spec in specs))
        return self._contexts[key]

    def decoder(self, channels: int, size: Shape) -> Count:
        """A decoder of so many channels of maps of a size (height, width)."""
        with torch.device("meta"):
            built = Decoder(channels, self.image)
        return count(built, (channels, *size))

    def mirrors(self, blocks: range) -> tuple[int, ...]:
        """The parameters of every block's feedback mirror; the network's first has none."""
        with torch.device("meta"):
            built = [mirror(self.net.blocks[i].build(WHOLE), self.shapes[i]) for i in blocks if i]
        counted = tuple(sum(p.numel() for p in layer.parameters()) for layer in built)
        return counted if blocks.start else (0, *counted)
