"""Builds the module of one address, with the weights it starts from."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from comm.address import Address
from partition.heads import build_head, join, pooled
from partition.layers import draw
from partition.networks import network
from partition.networks.block import Piece
from partition.plan import ModulePlan, Plan


class LocalModule(nn.Module):
    """A stretch of the network and the head it learns from. The read-out head has no blocks.

    `trunk` maps what the module reads, (batch, *reads), to (batch, *writes); `head` maps features
    to logits (batch, classes).
    """

    def __init__(self, plan: ModulePlan, trunk: "OrderedDict[str, nn.Module]") -> None:
        super().__init__()
        self.plan = plan
        self.trunk = nn.Sequential(trunk)
        self.head = build_head(plan.head)

    def shown(self, features: Tensor) -> Tensor:
        """What the peers, and the own head, see of the trunk's output: maps may be pooled."""
        return pooled(features, self.plan.head.pool)

    def join(self, own: Tensor, others: list[Tensor]) -> Tensor:
        """What the head reads: all groups in order, only `own` with its gradient."""
        return join(own, others, self.plan.address.g)


def build(plan: Plan, address: Address, *, seed: int, device: torch.device | str) -> LocalModule:
    """The module at `address`, drawn from `seed`: the same network on every grid."""
    mine = plan[address]
    net = network(plan.network, plan.widths, plan.data.shape)
    blocks = {block.name: block for block in net.blocks}
    groups = len(plan.grid.rows[address.k])
    trunk = OrderedDict(
        (name, blocks[name].build(Piece(group=address.g, groups=groups, whole=index == 0)))
        for index, name in enumerate(mine.blocks)
    )
    module = LocalModule(mine, trunk)
    for name, block in trunk.items():
        draw(block, seed, f"trunk.{name}")
    behind = mine.blocks[-1] if mine.blocks else "all"
    draw(module.head, seed, f"head.{behind}.g{address.g}")
    layout = torch.channels_last if plan.channels_last else torch.contiguous_format
    dtype: torch.dtype = getattr(torch, plan.dtype)
    module.to(device=device, dtype=dtype)
    # torch's stubs leave out the overload for a layout alone
    return module.to(memory_format=layout)  # pyright: ignore
