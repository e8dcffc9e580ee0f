"""What the modules of a row show each other, and how a head puts it together (spec §1.5).

A head reads the row's features in group order, only its own slice with a gradient. With a share
ratio r < 1 it reads of every other group h a window of int(r C_h) channels; the windows of
successive groups follow each other round the slice, beginning at 0.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from partition.spans import Span


def window(channels: int, groups: int, ratio: float, *, reader: int, source: int) -> list[int]:
    """Which channels of `source`'s slice `reader` hears, in order; `channels` is the row's width.

    >>> [window(8, 3, 0.5, reader=2, source=h) for h in range(2)]
    [[0], [1]]
    """
    begin = 0
    for other in range(groups):
        size = Span.of(channels, other, groups).size
        heard = int(ratio * size)
        if other == source:
            return [(begin + i) % size for i in range(heard)]
        if other != reader:
            begin = (begin + heard) % size
    raise ValueError(f"group {source} of {groups}")


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


def join(own: Tensor, others: Sequence[Tensor], position: int) -> Tensor:
    """All groups' features in group order; only `own`, at its natural place, has a gradient."""
    if not others:
        return own
    return torch.cat([*others[:position], own, *others[position:]], dim=1)
