"""Layers that may hold only a slice of a whole layer, and draw their first weights whole.

A weight is drawn at the size of the undivided network from hash(seed, its name) and then sliced, so
it does not depend on cuts, groups, ranks or the order of construction: runs on different grids
start from the same network. Convolutions are drawn as in He et al. 2015 by the *full* number of
output channels, linear layers and all biases as PyTorch does by default. Dropout masks are drawn
the same way, from hash(seed, name, step).
"""

import hashlib
import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from partition.spans import Span


def generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The random source of one parameter, or of whatever else has a name."""
    key = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    source = torch.Generator(device)
    return source.manual_seed(int.from_bytes(key[:8], "little", signed=True))


def uniform(shape: tuple[int, ...], fan_in: int, seed: int, name: str) -> Tensor:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default of linear layers and of biases."""
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(shape).uniform_(-bound, bound, generator=generator(seed, name))


@runtime_checkable
class Drawn(Protocol):
    """A layer that knows how its first weights are drawn."""

    def draw(self, seed: int, name: str) -> None:
        """Draw them whole from hash(seed, name), and take the own slice."""
        ...


class Conv(nn.Conv2d):
    """A k×k convolution that reads `reads` and writes `writes` of a whole one.

    `uniform`: its weight starts as PyTorch draws it by default, not as in He et al.
    """

    def __init__(
        self,
        reads: Span,
        writes: Span,
        kernel: int,
        stride: int = 1,
        *,
        bias: bool = False,
        uniform: bool = False,
    ) -> None:
        super().__init__(reads.size, writes.size, kernel, stride, padding=kernel // 2, bias=bias)
        self.reads, self.writes, self.uniform = reads, writes, uniform

    @torch.no_grad()
    def draw(self, seed: int, name: str) -> None:
        """Weight N(0, 2 / (k² C_out)) with the whole layer's C_out, or uniform; bias uniform."""
        area = self.kernel_size[0] * self.kernel_size[1]
        fan_in = area * self.reads.total
        shape = (self.writes.total, self.reads.total, *self.kernel_size)
        if self.uniform:
            whole = uniform(shape, fan_in, seed, f"{name}.weight")
        else:
            whole = torch.randn(shape, generator=generator(seed, f"{name}.weight"))
            whole *= math.sqrt(2 / (area * self.writes.total))
        self.weight.copy_(whole[self.writes.slice, self.reads.slice])
        if self.bias is not None:
            bias = uniform((self.writes.total,), fan_in, seed, f"{name}.bias")
            self.bias.copy_(bias[self.writes.slice])


class Dense(nn.Linear):
    """A linear layer that reads `reads` and writes `writes` of a whole one.

    `zero`: its weight starts at zero.
    """

    def __init__(self, reads: Span, writes: Span, *, bias: bool = True, zero: bool = False) -> None:
        super().__init__(reads.size, writes.size, bias)
        self.reads, self.writes, self.zero = reads, writes, zero

    @torch.no_grad()
    def draw(self, seed: int, name: str) -> None:
        """U(-1/sqrt(C_in), 1/sqrt(C_in)) for weight and bias, with the whole layer's C_in."""
        total = self.reads.total
        if self.zero:
            self.weight.zero_()
        else:
            whole = uniform((self.writes.total, total), total, seed, f"{name}.weight")
            self.weight.copy_(whole[self.writes.slice, self.reads.slice])
        if self.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
            bias = uniform((self.writes.total,), total, seed, f"{name}.bias")
            self.bias.copy_(bias[self.writes.slice])


def dropout_mask(seed: int, name: str, step: int, *, rows: int, channels: int, p: float) -> Tensor:
    """What each channel of each sample is multiplied by, (rows, channels): 0 or 1 / (1 - p)."""
    kept = torch.rand(rows, channels, generator=generator(seed, f"{name}/{step}")) >= p
    return kept / (1 - p)


class Dropout(nn.Module):
    """Drops whole channels of a layer, (batch, channels, …), with probability `p`.

    The mask is a pure function of (seed, name, step): the groups of a layer, and any grid, drop the
    same channels of the same sample. `step` is set before every batch.
    """

    def __init__(self, p: float, writes: Span) -> None:
        super().__init__()
        self.p, self.writes = p, writes
        self.seed, self.name, self.step = 0, "", 0

    def draw(self, seed: int, name: str) -> None:
        """Nothing to draw yet; remembers where masks come from."""
        self.seed, self.name = seed, name

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        mask = dropout_mask(
            self.seed, self.name, self.step, rows=len(x), channels=self.writes.total, p=self.p
        )
        mask = mask[:, self.writes.slice].to(x.device, x.dtype)
        return x * mask.view(*mask.shape, *(1,) * (x.ndim - 2))


class Flat(nn.Module):
    """(batch, channels, 1, 1) or (batch, features) to (batch, features)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)
