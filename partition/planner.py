"""From a network, a method's wiring and a data set to a Plan. All problems are found at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from comm.address import Address, Grid
from comm.errors import BadInput
from partition.config import GridConfig
from partition.counts import Count, count
from partition.cuts import Cut, even, min_max, spans
from partition.data_spec import DataSpec
from partition.heads import HeadSpec, build_head, hidden_units, pooled_shape
from partition.nearest import nearest
from partition.networks import network
from partition.networks.block import Network, Piece
from partition.papers import CUTS, published_cuts
from partition.plan import ModulePlan, Plan
from partition.routes import draw_routes
from partition.spans import Span
from partition.wiring import HeadKind, Wiring


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything a plan is made from."""

    method: str
    wiring: Wiring
    config: GridConfig
    data: DataSpec
    batch: int
    eval_batch: int
    dtype: str = "float32"
    channels_last: bool = False


def plan(request: Request) -> Plan:
    """The plan for `request`. Raises BadInput with every problem there is."""
    config = request.config
    net = network(config.network, config.widths, request.data.shape)
    groups = config.groups_per_row
    problems = [*_grid_problems(request, net, groups), *_cut_problems(config, net)]
    if problems:
        raise BadInput(problems)
    grid = Grid(groups=groups, readout=request.wiring.tail == "head")
    return _Draft(request, net, grid).finish()


def _grid_problems(request: Request, net: Network, groups: tuple[int, ...]) -> Iterator[str]:
    config, wiring = request.config, request.wiring
    if config.depth < 1:
        yield f"--depth {config.depth}: a grid has at least one row"
    if config.depth > len(net.blocks):
        yield (
            f"--depth {config.depth}: {net.name} has {len(net.blocks)} blocks, "
            f"so at most --depth {len(net.blocks)}"
        )
    if len(groups) != config.depth:
        yield (
            f"--groups {' '.join(map(str, config.groups))}: give one number for all rows, "
            f"or {config.depth}, one per row"
        )
    for size in sorted(set(groups)):
        widths = sorted({block.width for block in net.blocks})
        if size < 1:
            yield f"--groups {size}: every row has at least one group"
        elif size > min(widths):
            yield f"--groups {size}: more groups than the {min(widths)} channels of {net.name}"
        elif net.even and (odd := [width for width in widths if width % size]):
            fitting = [str(n) for n in range(1, min(widths) + 1) if all(w % n == 0 for w in widths)]
            yield (
                f"--groups {size} does not divide {net.name}'s width {', '.join(map(str, odd))}: "
                f"choose {', '.join(fitting)}, or other --widths"
            )
    if config.window < 1:
        yield f"--window {config.window}: at least one batch must be able to be under way"
    if wiring.pool < 1:
        yield f"--pool {wiring.pool}: maps can not be pooled to less than 1 x 1"
    if not wiring.local and (config.depth, *groups) != (1, 1):
        yield (
            f"{request.method} trains the whole network in one module: leave out --depth and "
            "--groups, or choose a local method (dgl, gn-dgl)"
        )


def _cut_problems(config: GridConfig, net: Network) -> Iterator[str]:
    names = [block.name for block in net.blocks]
    if config.cuts == ("paper",):
        published = CUTS.get(net.name, {})
        if config.depth not in published:
            depths = f" (published: {', '.join(map(str, published))})" if published else ""
            yield (
                f"--cuts paper: no paper cuts {net.name} at depth {config.depth}{depths}; "
                "use --cuts macs or even"
            )
    elif config.cuts not in (("macs",), ("even",)):
        if unknown := [name for name in config.cuts if name not in names]:
            yield from (
                f"--cuts: {net.name} has no block {n!r}{nearest(n, names)}" for n in unknown
            )
            return
        if len(config.cuts) != config.depth - 1:
            yield (
                f"--cuts {' '.join(config.cuts)}: --depth {config.depth} takes "
                f"{config.depth - 1} names, the last block of every module but the last"
            )
        indices = [names.index(name) for name in config.cuts]
        if indices != sorted(set(indices)) or names[-1] in config.cuts:
            yield (
                f"--cuts {' '.join(config.cuts)}: name blocks in the order of {net.name}, "
                f"each once, and not the last one ({names[-1]})"
            )


class _Draft:
    """A plan in the making: every piece is built once on the meta device and counted."""

    def __init__(self, request: Request, net: Network, grid: Grid) -> None:
        self.request, self.net, self.grid = request, net, grid
        self._pieces: dict[tuple[int, Piece], Count] = {}
        self._heads: dict[HeadSpec, Count] = {}

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """What every block writes, all groups together; `shapes[0]` is the image."""
        shapes: list[tuple[int, ...]] = [self.request.data.shape]
        for index in range(len(self.net.blocks)):
            whole = Piece(group=0, groups=1, whole=True)
            shapes.append(self._count(index, whole, shapes[-1]).shape)
        return shapes

    def _count(self, index: int, piece: Piece, shape: tuple[int, ...]) -> Count:
        if (index, piece) not in self._pieces:
            with torch.device("meta"):
                built = self.net.blocks[index].build(piece)
            self._pieces[index, piece] = count(built, shape)
        return self._pieces[index, piece]

    def _piece(self, index: int, first: int, group: int, groups: int) -> Count:
        """The cost of block `index` in a module that begins with block `first`."""
        shape = self.shapes[index]
        whole = index == first
        alike = 0 if self.net.even else group  # groups of equal size cost the same
        if not whole:
            shape = (Span.of(shape[0], alike, groups).size, *shape[1:])
        return self._count(index, Piece(group=alike, groups=groups, whole=whole), shape)

    def head(self, stop: int, group: int, groups: int, kind: HeadKind) -> HeadSpec:
        """The head behind block `stop - 1`, as one of `groups` modules has it."""
        wiring, shape = self.request.wiring, self.shapes[stop]
        own = Span.of(shape[0], group, groups)
        gathers = wiring.share != "none" and groups > 1
        pool = wiring.pool if wiring.share == "pooled" else None
        reads = shape if gathers else (own.size, *shape[1:])
        return HeadSpec(
            kind=kind,
            shape=pooled_shape(reads, pool),
            hidden=hidden_units(self.net.base, 1 if gathers else groups),
            classes=self.request.data.classes,
            gathers=gathers,
            own=own,
            pool=pool,
        )

    def _count_head(self, spec: HeadSpec) -> Count:
        if spec not in self._heads:
            with torch.device("meta"):
                built = build_head(spec)
            self._heads[spec] = count(built, spec.shape)
        return self._heads[spec]

    def _kind(self, k: int) -> HeadKind:
        last = k == self.grid.depth - 1
        return "0c1f" if last and self.request.wiring.tail == "fc" else self.request.wiring.head

    def _trunk_macs(self, start: int, stop: int, group: int, groups: int) -> int:
        return sum(self._piece(i, start, group, groups).macs for i in range(start, stop))

    def _row_macs(self, k: int, start: int, stop: int) -> int:
        """What the busiest process of row k computes if it holds these blocks."""
        groups = self.grid.groups[k]
        head = self._count_head(self.head(stop, 0, groups, self._kind(k))).macs
        if self.grid.readout and k == self.grid.depth - 1:
            head += self._count_head(self.readout).macs
        return self._trunk_macs(start, stop, 0, groups) + head

    @cached_property
    def readout(self) -> HeadSpec:
        """The head behind everything: all maps of the last row, as they are."""
        shape = self.shapes[-1]
        return HeadSpec(
            kind=self.request.wiring.head,
            shape=shape,
            hidden=hidden_units(self.net.base, 1),
            classes=self.request.data.classes,
            gathers=True,
            own=Span.whole(shape[0]),
        )

    @cached_property
    def cut(self) -> Cut:
        """The first block of every module but the first."""
        blocks, depth = len(self.net.blocks), self.grid.depth
        match self.request.config.cuts:
            case ("macs",):
                return min_max(blocks, depth, self._row_macs)
            case ("even",):
                return even(blocks, depth)
            case ("paper",):
                lasts = published_cuts(self.net.name, depth)
            case lasts:
                pass
        names = [block.name for block in self.net.blocks]
        return tuple(names.index(name) + 1 for name in lasts)

    def _module(self, address: Address, blocks: range) -> ModulePlan:
        group, groups = address.g, self.grid.groups[address.k]
        pieces = [self._piece(i, blocks.start, group, groups) for i in blocks]
        spec = self.head(blocks.stop, group, groups, self._kind(address.k))
        head = self._count_head(spec)
        shape = self.shapes[blocks.stop]
        return ModulePlan(
            address=address,
            blocks=tuple(self.net.blocks[i].name for i in blocks),
            reads=self.shapes[blocks.start],
            writes=(spec.own.size, *shape[1:]),
            head=spec,
            parameters=sum(piece.parameters for piece in pieces) + head.parameters,
            trunk_macs=sum(piece.macs for piece in pieces),
            head_macs=head.macs,
        )

    def _whole(self, groups: tuple[int, ...]) -> Count:
        """The network cut like this with so many groups per row, pooled into one linear layer."""
        fc = HeadSpec(
            kind="0c1f",
            shape=self.shapes[-1],
            hidden=0,
            classes=self.request.data.classes,
            gathers=True,
            own=Span.whole(self.shapes[-1][0]),
        )
        tail = self._count_head(fc)
        macs, parameters = tail.macs, tail.parameters
        for size, blocks in zip(groups, spans(len(self.net.blocks), self.cut), strict=True):
            for group in range(size):
                pieces = [self._piece(i, blocks.start, group, size) for i in blocks]
                macs += sum(piece.macs for piece in pieces)
                parameters += sum(piece.parameters for piece in pieces)
        return Count(macs=macs, parameters=parameters, shape=(fc.classes,))

    def finish(self) -> Plan:
        """The plan."""
        request = self.request
        ranges = spans(len(self.net.blocks), self.cut)
        modules = [
            self._module(Address(k, g), blocks)
            for k, blocks in enumerate(ranges)
            for g in range(self.grid.groups[k])
        ]
        if self.grid.readout:
            head, shape = self._count_head(self.readout), self.shapes[-1]
            modules.append(
                ModulePlan(
                    address=Address(self.grid.depth, 0),
                    blocks=(),
                    reads=shape,
                    writes=shape,
                    head=self.readout,
                    parameters=head.parameters,
                    trunk_macs=0,
                    head_macs=head.macs,
                )
            )
        whole = self._whole((1,) * self.grid.depth)
        return Plan(
            method=request.method,
            network=request.config.network,
            widths=request.config.widths,
            wiring=request.wiring,
            data=request.data,
            grid=self.grid,
            batch=request.batch,
            eval_batch=request.eval_batch,
            window=request.config.window,
            dtype=request.dtype,
            channels_last=request.channels_last,
            modules=tuple(modules),
            routes=draw_routes(
                self.grid,
                {module.address: module for module in modules},
                wiring=request.wiring,
                classes=request.data.classes,
                rows=max(request.batch, request.eval_batch),
                window=request.config.window,
                dtype=request.dtype,
                channels_last=request.channels_last,
            ),
            whole_macs=whole.macs,
            whole_parameters=whole.parameters,
            inference_macs=self._whole(self.grid.groups).macs,
        )
