"""Measures what blocks and heads cost in time, for the cut solver, which takes numbers.

MACs do not tell: narrow convolutions and batch-norms cost far more time than their share of MACs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from torch import nn

from partition.networks.block import Network, Piece


@dataclass(frozen=True, kw_only=True)
class BlockCost:
    """Seconds of forward and backward of one block, and of a head behind it."""

    name: str
    block: float
    head: float


def _timed(run: Callable[[], None], repetitions: int) -> float:
    run()
    times: list[float] = []
    for _ in range(repetitions):
        began = perf_counter()
        run()
        times.append(perf_counter() - began)
    return median(times)


def _both_ways(module: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    def run() -> None:
        module.zero_grad(set_to_none=True)
        module(x).sum().backward()

    return run


def measure(
    net: Network,
    head: Callable[[tuple[int, ...]], nn.Module],
    *,
    shape: tuple[int, int, int],
    batch: int,
    memory_format: torch.memory_format = torch.channels_last,
    repetitions: int = 3,
) -> list[BlockCost]:
    """The cost of every block of the undivided network at this batch, in this process's threads.

    `head` builds the head for maps of a shape (channels, height, width); `shape` is the image's.
    """
    x = torch.randn(batch, *shape).to(memory_format=memory_format)
    costs: list[BlockCost] = []
    for index, block in enumerate(net.blocks):
        built = block.build(Piece(group=0, groups=1, whole=True))
        built.to(memory_format=memory_format)  # pyright: ignore
        x.requires_grad_(index > 0)  # no gradient is taken for the image
        seconds = _timed(_both_ways(built, x), repetitions)
        with torch.no_grad():
            written = built(x)
        x = written.detach()
        behind = head(tuple(x.shape[1:]))
        behind.to(memory_format=memory_format)  # pyright: ignore
        x.requires_grad_(True)
        costs.append(
            BlockCost(
                name=block.name,
                block=seconds,
                head=_timed(_both_ways(behind, x), repetitions),
            )
        )
    return costs
