"""Feedback mirrors: what sends a target back through a layer (spec: dtp §1.2).

    conv → pool → ELU     ELU → unpool (with the indices of the pool) → transposed conv
    linear → ELU          ELU → linear back, in the shape that the layer read
    linear                linear back

One registered function per kind of layer: a new layer brings its own. A mirror maps what the layer
makes, and its code, to what the layer read. Weights are drawn apart from the layer's own.
"""

import math
from abc import ABC, abstractmethod
from functools import singledispatch
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, linear
from torch.nn.grad import conv2d_weight  # pyright: ignore[reportUnknownVariableType]

from partition.layers import Dense, uniform
from partition.networks.mirrored import Activated, Code, PooledConv
from partition.spans import Span

Shape = tuple[int, ...]


class Mirror(nn.Module, ABC):
    """Maps what a layer makes, (batch, *makes), and its code, to what the layer read.

    It opens what the layer made, with nothing to learn, and leads that back by an affine map.
    """

    back: nn.ConvTranspose2d | nn.Linear

    @property
    def weight(self) -> nn.Parameter:
        """Of the shape of the layer's, or its transpose."""
        return cast(nn.Parameter, self.back.weight)

    @abstractmethod
    def opened(self, y: Tensor, code: Code) -> Tensor:
        """What `back` reads."""
        ...

    @abstractmethod
    def led(self, opened: Tensor) -> Tensor:
        """What `back` makes of it, but for the bias: linear. (batch, *reads)."""
        ...

    @abstractmethod
    def pull(self, opened: Tensor, other: Tensor) -> Tensor:
        """The gradient of the inner product of `led(opened)` and `other` as to `weight`."""
        ...

    def __call__(self, y: Tensor, code: Code) -> Tensor:
        """The same, through torch's hooks, with its type."""
        return super().__call__(y, code)


@singledispatch
def mirror(layer: nn.Module, reads: Shape) -> Mirror:
    """The mirror of a layer that reads `reads` per sample. Raises TypeError for other kinds."""
    raise TypeError(f"{type(layer).__name__} has no feedback mirror")


class Transposed(nn.ConvTranspose2d):
    """A transposed convolution that draws its weights as a convolution back would."""

    @torch.no_grad()
    def draw(self, seed: int, name: str) -> None:
        """U(-b, b) with b = 1/sqrt(k² C_in), C_in the channels that the mirrored layer reads."""
        fan_in = self.out_channels * math.prod(self.kernel_size)
        shape = tuple(self.weight.shape)
        self.weight.copy_(uniform(shape, fan_in, seed, f"{name}.weight"))
        bias = cast(Tensor, self.bias)
        bias.copy_(uniform(tuple(bias.shape), fan_in, seed, f"{name}.bias"))


class ConvMirror(Mirror):
    """ELU → unpool → transposed convolution."""

    def __init__(self, layer: PooledConv, reads: Shape) -> None:
        super().__init__()
        conv, pool = layer.conv, layer.pool
        self.size = reads[1:]  # a convolution that pads keeps it
        self.unpool = nn.MaxUnpool2d(
            cast(int, pool.kernel_size), cast(int, pool.stride), cast(int, pool.padding)
        )
        self.elu = nn.ELU()  # of fewer numbers before the unpooling, whose zeros stay zero
        kernel = conv.kernel_size[0]
        self.back = Transposed(conv.out_channels, conv.in_channels, kernel, padding=kernel // 2)

    def forward(self, y: Tensor, code: Code) -> Tensor:
        return self.back(self.opened(y, code))

    def opened(self, y: Tensor, code: Code) -> Tensor:
        assert code is not None
        return self.unpool(self.elu(y), code, output_size=list(self.size))

    def led(self, opened: Tensor) -> Tensor:
        return conv_transpose2d(opened, self.weight, padding=self.back.padding)  # pyright: ignore

    def pull(self, opened: Tensor, other: Tensor) -> Tensor:
        gradient: Tensor = conv2d_weight(
            other, self.weight.shape, opened, padding=cast(int, self.back.padding)
        )
        return gradient


class LinearMirror(Mirror):
    """(ELU →) linear, in the shape that the layer read."""

    def __init__(self, layer: Activated, reads: Shape) -> None:
        super().__init__()
        self.reads = reads
        self.elu = layer.elu
        self.back = Dense(Span.whole(layer.linear.out_features), Span.whole(math.prod(reads)))

    def forward(self, y: Tensor, code: Code) -> Tensor:
        return self.back(self.opened(y, code)).view(len(y), *self.reads)

    def opened(self, y: Tensor, code: Code) -> Tensor:
        return self.elu(y)

    def led(self, opened: Tensor) -> Tensor:
        return linear(opened, self.weight).view(len(opened), *self.reads)

    def pull(self, opened: Tensor, other: Tensor) -> Tensor:
        return other.flatten(1).T @ opened


@mirror.register
def _(layer: PooledConv, reads: Shape) -> Mirror:
    return ConvMirror(layer, reads)


@mirror.register
def _(layer: Activated, reads: Shape) -> Mirror:
    return LinearMirror(layer, reads)
