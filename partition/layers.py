"""Layers that may hold only a slice of a whole layer, and draw their first weights whole.

A weight is drawn at the size of the undivided network from hash(seed, its name) and then sliced, so
it does not depend on cuts, groups, ranks or the order of construction: runs on different grids
start from the same network. Convolutions are drawn as in He et al. 2015 by the *full* number of
output channels, linear layers as PyTorch does by default.
"""

import hashlib
import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from partition.spans import Span


def generator(seed: int, name: str) -> torch.Generator:
    """The random source of one parameter."""
    key = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(key[:8], "little", signed=True))


class Conv(nn.Conv2d):
    """A k×k convolution without bias that reads `reads` and writes `writes` of a whole one."""

    def __init__(self, reads: Span, writes: Span, kernel: int, stride: int = 1) -> None:
        super().__init__(reads.size, writes.size, kernel, stride, padding=kernel // 2, bias=False)
        self.reads, self.writes = reads, writes

    @torch.no_grad()
    def draw(self, seed: int, name: str) -> None:
        """N(0, 2 / (k² C_out)) with the whole layer's C_out."""
        area = self.kernel_size[0] * self.kernel_size[1]
        whole = torch.randn(
            self.writes.total,
            self.reads.total,
            *self.kernel_size,
            generator=generator(seed, f"{name}.weight"),
        )
        whole *= math.sqrt(2 / (area * self.writes.total))
        self.weight.copy_(whole[self.writes.slice, self.reads.slice])


class Dense(nn.Linear):
    """A linear layer that reads `reads` and writes `writes` of a whole one."""

    def __init__(self, reads: Span, writes: Span) -> None:
        super().__init__(reads.size, writes.size)
        self.reads, self.writes = reads, writes

    @torch.no_grad()
    def draw(self, seed: int, name: str) -> None:
        """U(-1/sqrt(C_in), 1/sqrt(C_in)) for weight and bias, with the whole layer's C_in."""
        bound = 1 / math.sqrt(self.reads.total)
        source = generator(seed, f"{name}.weight")
        whole = torch.empty(self.writes.total, self.reads.total).uniform_(
            -bound, bound, generator=source
        )
        self.weight.copy_(whole[self.writes.slice, self.reads.slice])
        source = generator(seed, f"{name}.bias")
        bias = torch.empty(self.writes.total).uniform_(-bound, bound, generator=source)
        self.bias.copy_(bias[self.writes.slice])


class Flat(nn.Module):
    """(batch, channels, 1, 1) or (batch, features) to (batch, features)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def draw(module: nn.Module, seed: int, prefix: str) -> None:
    """Draw every layer below `module`; names are `prefix` plus the path within the module.

    Batch-norm starts at weight 1, bias 0, as constructed.
    """
    for path, layer in cast(Iterator[tuple[str, nn.Module]], module.named_modules()):
        if isinstance(layer, Conv | Dense):
            layer.draw(seed, f"{prefix}.{path}")
