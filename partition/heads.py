"""Auxiliary nets: what a module's loss, or the read-out, is computed with (spec §1.3).

The names are the papers': so many convolutions, so many fully connected layers.

    1c2f    conv3x3 C→2C, stride 2 → BN → ReLU → global average pool → linear 2C→F → ReLU → linear
    0c1f    global average pool → linear

On flat features (an MLP's) the convolution becomes a linear layer and the pool falls away.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from partition.layers import Conv, Dense, Flat
from partition.spans import Span
from partition.wiring import HeadKind


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """One head. `shape` is what it reads: (channels, height, width), or (features,).

    `gathers`: it reads the features of all groups of its row, joined in group order; `own` is
    the span of them that keeps its gradient. Maps larger than `pool` are average-pooled to it
    before they are joined (None: never).
    """

    kind: HeadKind
    shape: tuple[int, ...]
    hidden: int
    classes: int
    gathers: bool
    own: Span
    pool: int | None = None


def hidden_units(base: int, groups: int) -> int:
    """F of 1c2f: 128 * w0 / 16, and the G-th part of it for a head that reads one slice only."""
    return max(1, int(128 / groups * base / 16))


def build_head(spec: HeadSpec) -> nn.Sequential:
    """The head that maps (batch, *spec.shape) to logits (batch, classes)."""
    head = nn.Sequential()
    channels = spec.shape[0]
    maps = len(spec.shape) == 3
    if spec.kind == "1c2f":
        whole, double = Span.whole(channels), Span.whole(2 * channels)
        if maps:
            head.add_module("conv0", Conv(whole, double, 3, stride=2))
            head.add_module("bn0", nn.BatchNorm2d(2 * channels))
        else:
            head.add_module("linear0", Dense(whole, double))
            head.add_module("bn0", nn.BatchNorm1d(2 * channels))
        head.add_module("relu0", nn.ReLU(inplace=True))
        channels *= 2
    if maps:
        head.add_module("gap", nn.AdaptiveAvgPool2d(1))
        head.add_module("flat", Flat())
    widths = (spec.hidden, spec.classes) if spec.kind == "1c2f" else (spec.classes,)
    for index, width in enumerate(widths):
        if index:
            head.add_module(f"relu{index}", nn.ReLU(inplace=True))
        head.add_module(f"fc{index}", Dense(Span.whole(channels), Span.whole(width)))
        channels = width
    return head


def pooled(x: Tensor, pool: int | None) -> Tensor:
    """Maps larger than `pool`, average-pooled to `pool` x `pool`; anything else as it is."""
    shape = pooled_shape(tuple(x.shape[1:]), pool)
    if shape == tuple(x.shape[1:]):
        return x
    return nn.functional.adaptive_avg_pool2d(x, (shape[1], shape[2]))


def pooled_shape(shape: tuple[int, ...], pool: int | None) -> tuple[int, ...]:
    """The shape that `pooled` gives one sample of `shape`."""
    if pool is None or len(shape) != 3:
        return shape
    channels, height, width = shape
    return (channels, min(height, pool), min(width, pool))


def join(own: Tensor, others: list[Tensor], position: int) -> Tensor:
    """All groups' features in group order; only `own`, at its natural place, has a gradient."""
    if not others:
        return own
    return torch.cat([*others[:position], own, *others[position:]], dim=1)
