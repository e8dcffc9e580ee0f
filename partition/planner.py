"""From a network, a method's wiring and a data set to a Plan. All problems are found at once."""

from functools import cached_property

import torch

from comm.address import Address, Grid
from comm.errors import BadInput
from partition.counts import Count, count
from partition.cuts import Cut, even, min_max, spans
from partition.heads import HeadSpec, build_head, hidden_units, pooled_shape
from partition.networks import network
from partition.networks.block import Network, Piece
from partition.papers import published_cuts
from partition.plan import ModulePlan, Plan
from partition.problems import cut_problems, grid_problems
from partition.request import Request
from partition.routes import draw_routes
from partition.spans import Span
from partition.wiring import HeadKind


def plan(request: Request) -> Plan:
    """The plan for `request`. Raises BadInput with every problem there is."""
    config, net, problems = request.config, None, list[str]()
    try:
        net = network(config.network, config.widths, request.data.shape)
        problems += cut_problems(config, net)
    except BadInput as error:
        problems += error.problems
    problems = [*grid_problems(request, net), *problems]
    if problems or net is None:
        raise BadInput(problems)
    grid = Grid(groups=config.groups_per_row, readout=request.wiring.tail == "head")
    return _Draft(request, net, grid).finish()


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
