"""Builds the module of one address, with the weights it starts from."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from comm.address import Address
from partition.contexts import Contexts
from partition.data_spec import DataSpec
from partition.decoder import Decoder
from partition.drawing import draw
from partition.heads import build_head
from partition.layers import Dropout
from partition.mirrors import Mirror, mirror
from partition.networks import network
from partition.networks.block import Piece
from partition.networks.mirrored import Activated, PooledConv
from partition.plan import ModulePlan, Plan
from partition.sharing import join, pooled, window

Built = TypeVar("Built", bound=nn.Module)


class LocalModule(nn.Module):
    """A stretch of the network and what it learns with. The read-out head has no blocks.

    `trunk` maps what the module reads, (batch, *reads), to features (batch, *makes); `outlet` what
    leaves of them, (batch, *writes); `head` maps features to logits (batch, classes), or to what
    its kind writes. `decoder` and `contexts` are None where the plan has none. `mirrors` lead back
    through blocks, by their names; `own_optimizers` are those that the method steps itself.
    """

    def __init__(self, plan: ModulePlan, data: DataSpec, seed: int) -> None:
        super().__init__()
        self.plan, self.groups, self.classes = plan, plan.groups, data.classes
        self.trunk = nn.Sequential()
        self.outlet: nn.Module = nn.Identity()
        self.contexts: Contexts | None = None
        self.head = build_head(plan.head)
        self.decoder: Decoder | None = None
        self.mirrors = nn.ModuleDict()
        self.own_optimizers: dict[str, torch.optim.Optimizer] = {}
        self.seed = seed
        if plan.contexts:
            self.contexts = Contexts(plan.contexts, plan.reads_own, plan.reads[1:])
        if plan.decodes:
            self.decoder = Decoder(plan.makes[0], data.shape)

    def layer(self, name: str) -> PooledConv | Activated:
        """One block of a network that has mirrors."""
        block = self.trunk.get_submodule(name)
        assert isinstance(block, PooledConv | Activated)
        return block

    def mirror(self, name: str) -> Mirror:
        """The mirror of that block."""
        back = self.mirrors.get_submodule(name)
        assert isinstance(back, Mirror)
        return back

    def learned(self) -> list[nn.Parameter]:
        """What the run's own optimiser updates: everything but the feedback mirrors."""
        own = set(self.mirrors.parameters())
        return [parameter for parameter in self.parameters() if parameter not in own]

    def begin(self, step: int) -> None:
        """Draw this step's dropout masks."""
        for layer in self.modules():
            if isinstance(layer, Dropout):
                layer.step = step

    def supplemented(self, features: Tensor, contexts: Sequence[Tensor]) -> Tensor:
        """What the trunk reads, (batch, *reads): the contexts are added to the own channels."""
        if self.contexts is None:
            return features
        own = self.plan.reads_own
        supplemented = features[:, own.slice] + self.contexts(*contexts)
        if own.size == own.total:
            return supplemented
        return torch.cat([features[:, : own.start], supplemented, features[:, own.stop :]], dim=1)

    def owned(self, supplemented: Tensor) -> Tensor:
        """The own channels of what the trunk reads: the part that later rows hear from here."""
        return supplemented[:, self.plan.reads_own.slice]

    def pooled(self, features: Tensor) -> Tensor:
        """The own part of what the head reads: maps may be pooled where peers see them."""
        return pooled(features, self.plan.head.pool)

    def shown(self, own: Tensor) -> list[Tensor]:
        """What each peer, in group order, sees of `own`."""
        spec, me = self.plan.head, self.plan.group
        peers = [g for g in range(self.groups) if g != me]
        if spec.ratio == 1:
            return [own] * len(peers)
        width = spec.own.total
        return [
            own[:, window(width, self.groups, spec.ratio, reader=peer, source=me)] for peer in peers
        ]

    def join(self, own: Tensor, others: list[Tensor]) -> Tensor:
        """What the head reads: all groups in order, only `own` with its gradient."""
        return join(own, others, self.plan.group)


def build(plan: Plan, address: Address, *, seed: int, device: torch.device | str) -> LocalModule:
    """The module at `address`, drawn from `seed`: the same network on every grid."""
    mine = plan[address]
    net = network(plan.network, plan.widths, plan.data.shape, plan.style, plan.data.classes)
    blocks = {block.name: block for block in net.blocks}
    module = LocalModule(mine, plan.data, seed)
    for index, name in enumerate(mine.blocks):
        piece = Piece(group=mine.group, groups=mine.groups, whole=index == 0)
        module.trunk.add_module(name, blocks[name].build(piece))
        outlet = blocks[name].outlet(piece)
        draw(outlet, seed, f"outlet.{name}")
        if name == mine.blocks[-1] and mine.place is not None:
            module.outlet = outlet  # before a classifier at the end it is on the trunk's road
        elif any(outlet.children()):
            module.trunk.add_module(f"{name}-outlet", outlet)
    if mine.mirrors:
        shapes = _input_shapes(module.trunk, mine.reads)
        for index, name in enumerate(mine.blocks, start=mine.first):
            if index:
                back = mirror(module.trunk.get_submodule(name), shapes[name])
                draw(back, seed, f"mirror.{name}")
                module.mirrors.add_module(name, back)
    for name in mine.blocks:
        draw(module.trunk.get_submodule(name), seed, f"trunk.{name}")
    behind = mine.blocks[-1] if mine.blocks else "all"
    before = mine.blocks[0] if mine.blocks else "all"
    draw(module.head, seed, f"head.{behind}.g{mine.group}")
    if module.decoder is not None:
        draw(module.decoder, seed, f"decoder.{behind}.g{mine.group}")
    if module.contexts is not None:
        draw(module.contexts, seed, f"contexts.{before}.g{mine.group}")
    return placed(module, plan, device)


def placed(module: Built, plan: Plan, device: torch.device | str) -> Built:
    """The same module on `device`, in the plan's precision and layout."""
    layout = torch.channels_last if plan.channels_last else torch.contiguous_format
    dtype: torch.dtype = getattr(torch, plan.dtype)
    module.to(device=device, dtype=dtype)
    # torch's stubs leave out the overload for a layout alone
    return module.to(memory_format=layout)  # pyright: ignore


@torch.no_grad()
def _input_shapes(trunk: nn.Sequential, reads: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """What every block reads, per sample."""
    shapes: dict[str, tuple[int, ...]] = {}
    x = torch.zeros(1, *reads)
    for name, block in trunk.named_children():
        shapes[name] = tuple(x.shape[1:])
        x = block(x)
    return shapes
