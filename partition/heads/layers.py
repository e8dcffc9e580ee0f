"""AugLocal's auxiliary net: the shape of layers that are still to come, with weights of its own.

    copies of d of the blocks behind → [BN if d ≤ 1] → global average pool → linear

Behind layer l of N it has the blocks l + i (N - 1 - l) / d, rounded, for i = 1 … d, each with
stride 2 where the width grows (Ma et al., ICLR 2024, section 3.2; spec §7).
"""

from collections.abc import Sequence

from torch import nn

from partition.heads.spec import HeadSpec
from partition.layers import Dense, Flat
from partition.networks.block import Piece
from partition.networks.resnet import Basic
from partition.spans import Span


def chosen_layers(layer: int, layers: int, depth: int) -> list[int]:
    """Which of `layers` layers a net of `depth` behind `layer` copies."""
    behind = layers - 1 - layer
    if depth >= behind:
        return list(range(layer + 1, layers))
    return [round(layer + i * behind / depth) for i in range(1, depth + 1)]


def pyramid_depth(depth: int, k: int, rows: int) -> int:
    """The depth of row k's net in a pyramid: from `depth` down to half of it."""
    t = 0.5 * k / (rows - 2) if rows > 2 else 0.0
    return max(1, round(depth * (1 - t) + t))


def strides(before: int, widths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """(width, stride) of every copy of layers with these widths, the first behind one of `before`.

    What counts is how the network grows, not how much of it a head hears.
    """
    befores = (before, *widths)
    return tuple((w, 2 if w > b else 1) for b, w in zip(befores, widths, strict=False))


def copied_layers(spec: HeadSpec) -> nn.Sequential:
    """The head of `spec.copies`."""
    head = nn.Sequential()
    channels = spec.shape[0]
    alone = Piece(group=0, groups=1, whole=True)
    for index, (width, stride) in enumerate(spec.copies):
        head.add_module(f"block{index}", Basic(channels, width, stride, alone))
        channels = width
    head.add_module("gap", nn.AdaptiveAvgPool2d(1))
    head.add_module("flat", Flat())
    if len(spec.copies) <= 1:
        head.add_module("bn", nn.BatchNorm1d(channels))
    head.add_module("fc0", Dense(Span.whole(channels), Span.whole(spec.writes), zero=spec.zero))
    return head
