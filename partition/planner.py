"""From a network, a method's wiring and a data set to a Plan. All problems are found at once."""

from functools import cached_property

import torch

from comm.address import Address, Grid
from comm.errors import BadInput
from comm.share import WHOLE, Share
from partition.contexts import Contexts, ContextSpec, context_specs
from partition.counts import Count, count
from partition.cuts import Cut, even, min_max, single, spans
from partition.decoder import Decoder
from partition.head_specs import Heads
from partition.heads import build_head
from partition.heads.spec import HeadSpec
from partition.mirrors import mirror
from partition.networks import network
from partition.networks.block import Network, Piece
from partition.papers import published_cuts
from partition.plan import ModulePlan, Plan
from partition.problems import cut_problems, grid_problems, map_problems, share_problems
from partition.request import Request
from partition.routes import draw_routes
from partition.spans import Span


def plan(request: Request) -> Plan:
    """The plan for `request`. Raises BadInput with every problem there is."""
    config, net, problems = request.config, None, list[str]()
    try:
        net = network(
            config.network, config.widths, request.data.shape, config.style, request.data.classes
        )
        problems += cut_problems(request, net)
    except BadInput as error:
        problems += error.problems
    problems = [*grid_problems(request, net), *problems]
    if problems or net is None:
        raise BadInput(problems)
    readout = request.wiring.tail == "head" and not net.classifies
    grid = Grid(groups=config.processes_per_row, readout=readout)
    draft = _Draft(request, net, grid)
    problems += map_problems(request.wiring, shapes=draft.shapes, made=draft.made)
    if not problems:  # it can be cut
        made = [draft.made[row.stop] for row in draft.rows]
        problems += share_problems(request.wiring, grid, made)
    if problems:
        raise BadInput(problems)
    return draft.finish()


class _Draft:
    """A plan in the making: every piece is built once on the meta device and counted."""

    def __init__(self, request: Request, net: Network, grid: Grid) -> None:
        self.request, self.net, self.grid = request, net, grid
        self.groups = request.config.groups_per_row
        self.replicas = request.config.replicas_per_row
        self._pieces: dict[tuple[int, Piece, bool], Count] = {}
        self._heads: dict[HeadSpec, Count] = {}
        self._contexts: dict[tuple[tuple[ContextSpec, ...], Span, int], Count] = {}
        self.heads = Heads(
            wiring=request.wiring,
            net=net,
            rows=grid.depth,
            classes=request.data.classes,
            made=self.made,
        )

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """What every block reads, all groups together: the image, then what leaves each block."""
        return self._shapes[0]

    @cached_property
    def made(self) -> list[tuple[int, ...]]:
        """What every block makes, before its outlet; `made[i]` is block i - 1's, as in `shapes`."""
        return self._shapes[1]

    @cached_property
    def _shapes(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        leaves: list[tuple[int, ...]] = [self.request.data.shape]
        makes: list[tuple[int, ...]] = [self.request.data.shape]
        whole = Piece(group=0, groups=1, whole=True)
        for index in range(len(self.net.blocks)):
            makes.append(self._count(index, whole, leaves[-1], outlet=False).shape)
            leaves.append(self._count(index, whole, leaves[-1]).shape)
        return leaves, makes

    def _count(
        self, index: int, piece: Piece, shape: tuple[int, ...], *, outlet: bool = True
    ) -> Count:
        """One block, with its `outlet` or without it."""
        key = index, piece, outlet
        if key not in self._pieces:
            block = self.net.blocks[index]
            with torch.device("meta"):
                built = block.build(piece)
                if outlet:
                    built = torch.nn.Sequential(built, block.outlet(piece))
            self._pieces[key] = count(built, shape)
        return self._pieces[key]

    def _piece(self, index: int, first: int, group: int, groups: int) -> Count:
        """The cost of block `index` in a module that begins with block `first`."""
        shape = self.shapes[index]
        whole = index == first
        alike = 0 if self.net.even else group  # groups of equal size cost the same
        if not whole:
            shape = (Span.of(shape[0], alike, groups).size, *shape[1:])
        return self._count(index, Piece(group=alike, groups=groups, whole=whole), shape)

    def _count_head(self, spec: HeadSpec) -> Count:
        if spec not in self._heads:
            with torch.device("meta"):
                built = build_head(spec)
            self._heads[spec] = count(built, spec.shape)
        return self._heads[spec]

    def _context_count(self, specs: tuple[ContextSpec, ...], own: Span, reads: int) -> Count:
        if not specs:
            return Count(macs=0, parameters=0, shape=())
        key = specs, own, reads
        if key not in self._contexts:
            with torch.device("meta"):
                built = Contexts(specs, own, self.shapes[reads][1:])
            self._contexts[key] = count(built, *(spec.shape for spec in specs))
        return self._contexts[key]

    def _decoder_count(self, channels: int, size: tuple[int, ...]) -> Count:
        with torch.device("meta"):
            built = Decoder(channels, self.request.data.shape)
        return count(built, (channels, *size))

    def _trunk_macs(self, start: int, stop: int, group: int, groups: int) -> int:
        return sum(self._piece(i, start, group, groups).macs for i in range(start, stop))

    def _row_macs(self, k: int, start: int, stop: int) -> int:
        """What the busiest process of row k computes if it holds these blocks.

        Of the contexts only the image's is counted: what others cost depends on where the rows
        before are cut.
        """
        groups = self.groups[k]
        head = self._count_head(self.heads.of(k, stop, 0, groups)).macs
        if self.grid.readout and k == self.grid.depth - 1:
            head += self._count_head(self.heads.readout).macs
        if self.heads.place(k) is not None and self.request.wiring.decoder:
            own = Span.of(self.made[stop][0], 0, groups)
            head += self._decoder_count(own.size, self.made[stop][1:]).macs
        own = Span.of(self.shapes[start][0], 0, groups)
        deep = context_specs(k, self.shapes[:1], memory=0, image=self.request.wiring.image)
        context = self._context_count(deep, own, start).macs
        trunk = self._trunk_macs(start, stop, 0, groups)
        macs = trunk + head + context + self._feedback_macs(range(start, stop))
        return -(-macs // self.replicas[k])

    @cached_property
    def rows(self) -> list[range]:
        """The blocks of every row."""
        return spans(len(self.net.blocks), self.cut)

    @cached_property
    def cut(self) -> Cut:
        """The first block of every module but the first."""
        blocks, depth = len(self.net.blocks), self.grid.depth
        match self.request.config.cuts:
            case ("macs",):
                return min_max(blocks, depth, self._row_macs)
            case ("even",):
                return even(blocks, depth)
            case ("single",):
                return single(depth)
            case ("paper",) | ("balanced",) as which:
                lasts = published_cuts(
                    self.net.name, self.request.data.name, depth, balanced=which == ("balanced",)
                )
            case lasts:
                pass
        names = [block.name for block in self.net.blocks]
        return tuple(names.index(name) + 1 for name in lasts)

    def _module(self, address: Address) -> ModulePlan:
        wiring, k = self.request.wiring, address.k
        blocks = self.rows[k]
        groups, replicas = self.groups[k], self.replicas[k]
        group, share = (address.g, WHOLE) if replicas == 1 else (0, Share(address.g, replicas))
        pieces = [self._piece(i, blocks.start, group, groups) for i in blocks]
        spec = self.heads.of(k, blocks.stop, group, groups)
        head = self._count_head(spec)
        makes = (spec.own.size, *self.made[blocks.stop][1:])
        place = self.heads.place(k)
        reads = self.shapes[blocks.start]
        reads_own = Span.of(reads[0], group, groups)
        inputs = [self.shapes[row.start] for row in self.rows]
        contexts = context_specs(k, inputs, memory=wiring.memory, image=wiring.image)
        context = self._context_count(contexts, reads_own, blocks.start)
        decodes = wiring.decoder and place is not None
        parts, mirrors = [*pieces, head, context], self._mirrors(blocks)
        decoder = Count(macs=0, parameters=0, shape=())
        if decodes:
            decoder = self._decoder_count(makes[0], makes[1:])
        return ModulePlan(
            address=address,
            group=group,
            groups=groups,
            share=share,
            blocks=tuple(self.net.blocks[i].name for i in blocks),
            reads=reads,
            makes=makes,
            writes=(spec.own.size, *self.shapes[blocks.stop][1:]),
            head=spec,
            place=place,
            contexts=contexts,
            reads_own=reads_own,
            decodes=decodes,
            first=blocks.start,
            mirrors=mirrors,
            parameters=sum(part.parameters for part in [*parts, decoder]) + sum(mirrors),
            trunk_macs=sum(piece.macs for piece in pieces),
            context_macs=context.macs,
            head_macs=head.macs,
            decoder_macs=decoder.macs,
            feedback_macs=self._feedback_macs(blocks),
        )

    def _mirrors(self, blocks: range) -> tuple[int, ...]:
        """The parameters of every block's mirror; what they compute depends on the method."""
        if not self.request.wiring.feedback:
            return ()
        whole = Piece(group=0, groups=1, whole=True)
        with torch.device("meta"):
            built = [mirror(self.net.blocks[i].build(whole), self.shapes[i]) for i in blocks if i]
        counted = tuple(sum(p.numel() for p in layer.parameters()) for layer in built)
        return counted if blocks.start else (0, *counted)

    def _feedback_macs(self, blocks: range) -> int:
        """What feedback training computes for one sample: a mirror costs what its block does."""
        iterations, passes = self.request.wiring.feedback, self.request.wiring.feedback_passes
        if not iterations:
            return 0
        return sum(passes * iterations[i - 1] * self._piece(i, i, 0, 1).macs for i in blocks if i)

    def _readout(self) -> ModulePlan:
        spec, shape = self.heads.readout, self.shapes[-1]
        head = self._count_head(spec)
        return ModulePlan(
            address=Address(self.grid.depth, 0),
            group=0,
            groups=1,
            share=WHOLE,
            blocks=(),
            reads=shape,
            makes=shape,
            writes=shape,
            head=spec,
            place=None,
            contexts=(),
            reads_own=Span.whole(shape[0]),
            decodes=False,
            first=len(self.net.blocks),
            mirrors=(),
            parameters=head.parameters,
            trunk_macs=0,
            context_macs=0,
            head_macs=head.macs,
            decoder_macs=0,
            feedback_macs=0,
        )

    def _whole(self, groups: tuple[int, ...]) -> Count:
        """The network cut like this with so many groups per row, pooled into one linear layer."""
        fc = self.heads.linear
        tail = self._count_head(fc)
        macs, parameters = tail.macs, tail.parameters
        for size, blocks in zip(groups, self.rows, strict=True):
            for group in range(size):
                pieces = [self._piece(i, blocks.start, group, size) for i in blocks]
                macs += sum(piece.macs for piece in pieces)
                parameters += sum(piece.parameters for piece in pieces)
        return Count(macs=macs, parameters=parameters, shape=(fc.writes,))

    def finish(self) -> Plan:
        """The plan."""
        request = self.request
        modules = [
            self._module(Address(k, g))
            for k in range(self.grid.depth)
            for g in range(self.grid.groups[k])
        ]
        if self.grid.readout:
            modules.append(self._readout())
        whole = self._whole((1,) * self.grid.depth)
        return Plan(
            method=request.method,
            network=request.config.network,
            widths=request.config.widths,
            style=request.config.style,
            wiring=request.wiring,
            data=request.data,
            grid=self.grid,
            batch=request.batch,
            eval_batch=request.eval_batch,
            window=request.config.window,
            replay=request.config.replay,
            dtype=request.dtype,
            channels_last=request.channels_last,
            modules=tuple(modules),
            routes=draw_routes(
                self.grid,
                {module.address: module for module in modules},
                wiring=request.wiring,
                classes=request.data.classes,
                rows=max(request.batch, request.eval_batch),
                ahead_window=request.config.window,
                dtype=request.dtype,
                channels_last=request.channels_last,
            ),
            whole_macs=whole.macs,
            whole_parameters=whole.parameters,
            inference_macs=self._whole(self.groups).macs
            + sum(module.context_macs for module in modules),
        )
