"""Measures what blocks and heads cost in time, for the cut solver, which takes numbers.

MACs do not tell: narrow convolutions and batch-norms cost far more time than their share of MACs,
and feedback training costs what its many small calls cost.
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter

import torch
from torch import nn

from partition.build import LocalModule, build
from partition.costs import BlockCost
from partition.plan import ModulePlan, Plan
from workers.data.progress import Progress
from workers.methods.method import Method


def measure(
    plan: Plan, method: Method, *, seed: int, device: torch.device, repetitions: int = 3
) -> list[BlockCost]:
    """The cost of every block at the plan's batch, in this process's threads.

    `plan` has one block in every row. A block is measured forward and backward, with all the rounds
    of its method, but alone: nothing is sent.
    """
    costs: list[BlockCost] = []
    with Progress("blocks measured", len(plan.grid.rows)) as progress:
        for row in plan.grid.rows:
            module = build(plan, row[0], seed=seed, device=device)
            method.prepared(module)
            block, head = _seconds(plan, module, method, device, repetitions)
            if module.plan.blocks:
                (name,) = module.plan.blocks
                costs.append(BlockCost(name=name, block=block, head=head))
            else:  # the read-out head: in the last row's process
                name, before = costs[-1].name, costs[-1]
                costs[-1] = BlockCost(name=name, block=before.block, head=before.head + head)
            progress.advance(1)
    return costs


def _seconds(
    plan: Plan, module: LocalModule, method: Method, device: torch.device, repetitions: int
) -> tuple[float, float]:
    """Of the block and its rounds, and of its head."""

    mine, timed = module.plan, partial(seconds_of, device=device, repetitions=repetitions)
    x, h = noise(plan, mine, mine.reads, device), noise(plan, mine, mine.makes, device)
    x.requires_grad_(mine.address.k > 0)  # no gradient is taken for the image
    block = timed(_both_ways(module.trunk, x)) if mine.blocks else 0.0
    for _, times, once in method.rounds(module, x.detach()):
        block += times * timed(once)
    read = noise(plan, mine, mine.head.shape, device).requires_grad_()
    head = timed(_both_ways(module.head, read)) if mine.head.kind != "none" else 0.0
    if module.decoder is not None:
        head += timed(_both_ways(module.decoder, h.requires_grad_()))
    return block, head


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


def noise(
    plan: Plan, mine: ModulePlan, shape: tuple[int, ...], device: torch.device
) -> torch.Tensor:
    """Noise in the form of a batch."""
    source = torch.Generator().manual_seed(mine.address.k)
    x = torch.randn(plan.batch, *shape, generator=source, dtype=getattr(torch, plan.dtype))
    last = plan.channels_last and x.ndim == 4
    return x.to(device, memory_format=torch.channels_last if last else torch.contiguous_format)


def _both_ways(module: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    def run() -> None:
        module.zero_grad(set_to_none=True)
        made: torch.Tensor | tuple[torch.Tensor, ...] = module(x)
        parts = (made,) if isinstance(made, torch.Tensor) else made
        torch.stack([part.sum() for part in parts]).sum().backward()

    return run
