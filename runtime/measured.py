"""--cuts time: the cut whose slowest process is quickest, by what blocks take on this host."""

import dataclasses
from collections.abc import Iterator

import torch

from partition.costs import BlockCost, quickest
from partition.plan import Plan
from partition.planner import plan
from partition.request import Request
from runtime.config import Config
from runtime.devices import device_name, portion_of
from workers.cost import measure
from workers.methods import name_of

ASKED = ("time",)


def problems(config: Config) -> Iterator[str]:
    """What can not be measured."""
    if config.grid.cuts != ASKED:
        return
    if max(config.grid.groups, default=1) > 1:
        yield "--cuts time measures whole blocks: leave out --groups, or use --cuts macs"
    wiring = config.method.wiring()
    if wiring.memory or wiring.image:
        yield "--cuts time: what contexts take depends on the cut: use --cuts macs"
    if not wiring.local:
        yield f"--cuts time: {name_of(config.method)} can not be cut: leave --cuts out"


def measured(config: Config, request: Request, drawn: Plan) -> tuple[Config, list[BlockCost]]:
    """The configuration with its cut, by names, and what every block takes.

    `drawn` is the plan of `request`, with another cut. Every block is measured by itself with the
    threads that a process of the grid has: what processes take from each other is not.
    """
    modules = (module for module in drawn.modules if not module.share.index)
    blocks = [name for module in modules for name in module.blocks]
    whole = dataclasses.replace(
        request.config, depth=len(blocks), cuts=("single",), groups=(1,), replicas=(1,)
    )
    alone = plan(dataclasses.replace(request, config=whole))
    replicas = config.grid.replicas_per_row
    portion = portion_of(0, sum(replicas), config.run.threads)
    before = torch.get_num_threads()
    torch.set_num_threads(portion.threads)
    try:
        device = torch.device(device_name(config.run.device, 0))
        depth = len(replicas)
        costs = measure(alone, config.method, depth=depth, seed=config.run.seed, device=device)
    finally:
        torch.set_num_threads(before)
    lasts = tuple(blocks[first - 1] for first in quickest(costs, replicas))
    return dataclasses.replace(config, grid=dataclasses.replace(config.grid, cuts=lasts)), costs
