"""Measures what blocks and heads cost in time, for the cut solver, which takes numbers.

MACs do not tell: narrow convolutions and batch-norms cost far more time than their share of MACs,
and feedback training costs what its many small calls cost.

    a block that begins a row     reads what is detached: no gradient is taken for its input
    a block behind another        takes one, and so does what leads to it (pooling, dropout);
                                  not in a method whose blocks each have a graph of their own (DTP)
    a head, a decoder             take one; the read-out head, a module by itself, does not
"""

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn

from partition.build import LocalModule, build, placed
from partition.costs import BlockCost, rows_that_end
from partition.head_specs import Heads
from partition.heads import build_head
from partition.heads.spec import HeadSpec
from partition.networks import network
from partition.plan import Plan
from workers.data.progress import Progress
from workers.methods.method import Method


def measure(
    plan: Plan,
    method: Method,
    *,
    depth: int,
    seed: int,
    device: torch.device,
    repetitions: int = 3,
) -> list[BlockCost]:
    """The cost of every block at the plan's batch, in this process's threads.

    `plan` has one block in every row; the costs are for grids of `depth` rows. A block is measured
    forward and backward, with all the rounds of its method, but alone: nothing is sent.
    """
    modules = [plan[row[0]] for row in plan.grid.rows if plan[row[0]].blocks]
    watch = _Watch(plan, device, repetitions)
    heads = _Heads(watch, _heads_of(plan, depth))
    costs: list[BlockCost] = []
    leads = 0.0  # seconds of what leads here from the block before, if both are in one row
    with Progress("blocks measured", len(modules)) as progress:
        for stop, mine in enumerate(modules, start=1):
            module = build(plan, mine.address, seed=seed, device=device)
            method.prepared(module)
            rounds = sum(watch.rounds(module, method))
            first = watch.both_ways(module.trunk, mine.reads, inward=False) + rounds
            inside = first
            if costs and not plan.wiring.feedback:
                inside = watch.both_ways(module.trunk, mine.reads, inward=True) + rounds + leads
            ends = rows_that_end(stop, blocks=len(modules), depth=depth)
            behind = {k: heads.behind(module, k, stop) for k in ends}
            costs.append(BlockCost(name=mine.blocks[0], first=first, inside=inside, heads=behind))
            leads = 0.0
            if any(module.outlet.children()):
                leads = watch.both_ways(module.outlet, mine.makes, inward=True)
            progress.advance(1)
    return costs


class _Watch:
    """Times modules on noise in the form of a batch of the plan's."""

    def __init__(self, plan: Plan, device: torch.device, repetitions: int) -> None:
        self.plan, self.device = plan, device
        self.seconds = partial(seconds_of, device=device, repetitions=repetitions)

    def both_ways(self, module: nn.Module, shape: tuple[int, ...], *, inward: bool) -> float:
        """Forward and backward through a module that reads `shape`; `inward`: to its input too."""
        x = noise(self.plan, shape, self.device).requires_grad_(inward)
        return self.seconds(partial(_both_ways, module, x))

    def rounds(self, module: LocalModule, method: Method) -> Iterator[float]:
        """What the method does beside, in one step."""
        x = noise(self.plan, module.plan.reads, self.device)
        for _, times, once in method.rounds(module, x):
            yield times * self.seconds(once)


class _Heads:
    """Times what stands behind a block, each kind of head once."""

    def __init__(self, watch: _Watch, heads: Heads) -> None:
        self.watch, self.heads = watch, heads
        self._found: dict[tuple[HeadSpec, bool], float] = {}

    def behind(self, module: LocalModule, k: int, stop: int) -> float:
        """What row k has behind the block of `module`, which is block `stop - 1`."""
        heads = self.heads
        seconds = self._head(heads.of(k, stop, 0, 1), inward=True)
        if module.decoder is not None:
            seconds += self.watch.both_ways(module.decoder, module.plan.makes, inward=True)
        if k == heads.rows - 1 and self.watch.plan.grid.readout:
            seconds += self._head(heads.readout, inward=False)
        return seconds

    def _head(self, spec: HeadSpec, *, inward: bool) -> float:
        if spec.kind == "none":
            return 0.0
        if (spec, inward) not in self._found:
            head = placed(build_head(spec), self.watch.plan, self.watch.device)
            self._found[spec, inward] = self.watch.both_ways(head, spec.shape, inward=inward)
        return self._found[spec, inward]


def _heads_of(plan: Plan, depth: int) -> Heads:
    """The heads of grids of `depth` rows; `plan`, one block in every row, knows the shapes."""
    data = plan.data
    net = network(plan.network, plan.widths, data.shape, plan.style, data.classes)
    made = [data.shape, *(module.makes for module in plan.modules if module.blocks)]
    return Heads(wiring=plan.wiring, net=net, rows=depth, classes=data.classes, made=made)


def seconds_of(run: Callable[[], object], *, device: torch.device, repetitions: int) -> float:
    """The median of so many runs, after one that is not counted."""

    def once() -> float:
        began = perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return perf_counter() - began

    once()
    return median(once() for _ in range(repetitions))


def noise(plan: Plan, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Noise in the form of a batch."""
    source = torch.Generator().manual_seed(0)
    x = torch.randn(plan.batch, *shape, generator=source, dtype=getattr(torch, plan.dtype))
    last = plan.channels_last and x.ndim == 4
    return x.to(device, memory_format=torch.channels_last if last else torch.contiguous_format)


def _both_ways(module: nn.Module, x: Tensor) -> None:
    """One pass forward and one backward, as a step takes them; the gradients are not kept."""
    module.zero_grad(set_to_none=True)
    x.grad = None
    made: Tensor | tuple[Tensor | None, ...] = module(x)
    parts = (made,) if isinstance(made, Tensor) else made
    total = torch.stack([part.sum() for part in parts if part is not None]).sum()
    if total.requires_grad:  # not of a block without weights that begins a row
        total.backward()  # pyright: ignore[reportUnknownMemberType]
