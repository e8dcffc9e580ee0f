"""From a network, a method's wiring and a data set to a Plan. All problems are found at once."""

from collections.abc import Iterator
from functools import cached_property

from comm.address import Address, Grid
from comm.errors import BadInput
from comm.share import WHOLE, Share
from partition.contexts import context_specs
from partition.counting import NOTHING, Counts
from partition.counts import Count
from partition.cuts import Cut, even, min_max, single, spans
from partition.head_specs import Heads
from partition.networks import network
from partition.networks.block import Network
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
    problems += map_problems(request.wiring, shapes=draft.counts.shapes, made=draft.counts.made)
    if not problems:  # it can be cut
        made = [draft.counts.made[row.stop] for row in draft.rows]
        problems += share_problems(request.wiring, grid, made)
        problems += dict.fromkeys(draft.undrawable())
    if problems:
        raise BadInput(problems)
    return draft.finish()


class _Draft:
    """A plan in the making."""

    def __init__(self, request: Request, net: Network, grid: Grid) -> None:
        self.request, self.net, self.grid = request, net, grid
        self.groups = request.config.groups_per_row
        self.replicas = request.config.replicas_per_row
        self.counts = Counts(net, request.data.shape)
        self.heads = Heads(
            wiring=request.wiring,
            net=net,
            rows=grid.depth,
            classes=request.data.classes,
            made=self.counts.made,
        )

    def _row_macs(self, k: int, start: int, stop: int) -> int:
        """What the busiest process of row k computes if it holds these blocks.

        Of the contexts only the image's is counted: what others cost depends on where the rows
        before are cut.
        """
        groups = self.groups[k]
        head = self.counts.head(self.heads.of(k, stop, 0, groups)).macs
        if self.grid.readout and k == self.grid.depth - 1:
            head += self.counts.head(self.heads.readout).macs
        if self.heads.place(k) is not None and self.request.wiring.decoder:
            own = Span.of(self.counts.made[stop][0], 0, groups)
            head += self.counts.decoder(own.size, self.counts.made[stop][1:]).macs
        own = Span.of(self.counts.shapes[start][0], 0, groups)
        deep = context_specs(k, self.counts.shapes[:1], memory=0, image=self.request.wiring.image)
        context = self.counts.contexts(deep, own, start).macs
        trunk = sum(self.counts.piece(i, start, 0, groups).macs for i in range(start, stop))
        macs = trunk + head + context + self._feedback(range(start, stop))
        return -(-macs // self.replicas[k])

    @cached_property
    def rows(self) -> list[range]:
        """The blocks of every row."""
        return spans(len(self.net.blocks), self.cut)

    def undrawable(self) -> Iterator[str]:
        """What no seed can draw, of every row's first module and of the read-out head."""
        for k, row in enumerate(self.rows):
            head = self.heads.of(k, row.stop, 0, self.groups[k])
            yield from self.counts.undrawable(row, self.groups[k], head)
        if self.grid.readout:
            yield from self.counts.undrawable(range(0), 1, self.heads.readout)

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
        pieces = [self.counts.piece(i, blocks.start, group, groups) for i in blocks]
        spec = self.heads.of(k, blocks.stop, group, groups)
        head = self.counts.head(spec)
        makes = (spec.own.size, *self.counts.made[blocks.stop][1:])
        place = self.heads.place(k)
        reads = self.counts.shapes[blocks.start]
        reads_own = Span.of(reads[0], group, groups)
        inputs = [self.counts.shapes[row.start] for row in self.rows]
        contexts = context_specs(k, inputs, memory=wiring.memory, image=wiring.image)
        context = self.counts.contexts(contexts, reads_own, blocks.start)
        decodes = wiring.decoder and place is not None
        parts = [*pieces, head, context]
        mirrors = self.counts.mirrors(blocks) if wiring.feedback else ()
        decoder = NOTHING
        if decodes:
            decoder = self.counts.decoder(makes[0], makes[1:])
        return ModulePlan(
            address=address,
            group=group,
            groups=groups,
            share=share,
            blocks=tuple(self.net.blocks[i].name for i in blocks),
            reads=reads,
            makes=makes,
            writes=(spec.own.size, *self.counts.shapes[blocks.stop][1:]),
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
            feedback_macs=self._feedback(blocks),
        )

    def _feedback(self, blocks: range) -> int:
        """What feedback training computes for one sample: a mirror costs what its block does."""
        iterations, passes = self.request.wiring.feedback, self.request.wiring.feedback_passes
        if not iterations:
            return 0
        trained = (iterations[i - 1] * self.counts.piece(i, i, 0, 1).macs for i in blocks if i)
        return passes * sum(trained)

    def _readout(self) -> ModulePlan:
        spec, shape = self.heads.readout, self.counts.shapes[-1]
        head = self.counts.head(spec)
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
        tail = self.counts.head(fc)
        macs, parameters = tail.macs, tail.parameters
        for size, blocks in zip(groups, self.rows, strict=True):
            for group in range(size):
                pieces = [self.counts.piece(i, blocks.start, group, size) for i in blocks]
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
