"""Auxiliary nets in plain torch, put together from the papers' lists of layers.

Nothing here imports the project. Numbers in brackets are sections of the methods' specification.
Layers have the names under which a module's weights are kept, so that weights can be taken over.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import nn

from tests.reference import PlainBlock, chain

Layers = Iterator[tuple[str, nn.Module]]
Copies = Sequence[tuple[int, int]]  # (width, stride)


def auxiliary(
    kind: str,
    shape: tuple[int, ...],
    *,
    hidden: int,
    out: int,
    keeps: bool = False,
    copies: Copies = (),
) -> nn.Module:
    """The net `kind` that reads `shape` per sample, (channels, height, width) or (features,)."""
    if kind == "layers":
        return chain(**dict(copied(shape[0], copies, out)))
    if kind in ("mlp", "mlp-sr", "cnn", "mlp2"):
        return chain(**dict(dgl(kind, shape, out)))
    return chain(**dict(conv_fc(kind, shape, hidden, out, keeps)))


def conv_fc(kind: str, shape: tuple[int, ...], hidden: int, out: int, keeps: bool) -> Layers:
    """1c2f (1.3) and its relatives (5): all convolutions 2C wide, the first one with stride 2.

    InfoPro's keep width and size in the last stage. Flat features have linear layers for them.
    """
    c, flat = shape[0], len(shape) == 1
    convolutions, linears = int(kind[0]), int(kind[2])
    for i in range(convolutions):
        first = i == 0 and not keeps
        d = 2 * c if first else c
        if flat:
            yield f"linear{i}", nn.Linear(c, d)
            yield f"bn{i}", nn.BatchNorm1d(d)
        else:
            yield f"conv{i}", nn.Conv2d(c, d, 3, 2 if first else 1, 1, bias=False)
            yield f"bn{i}", nn.BatchNorm2d(d)
        yield f"relu{i}", nn.ReLU()
        c = d
    if not flat:
        yield "pool", nn.AdaptiveAvgPool2d(1)
        yield "flat", nn.Flatten()
    for i, (a, b) in enumerate(pairwise([c, *[hidden] * (linears - 1), out])):
        if i:
            yield f"between{i}", nn.ReLU()
        yield f"fc{i}", nn.Linear(a, b)


def dgl(kind: str, shape: tuple[int, ...], out: int) -> Layers:
    """The table of (4.1); `mlp2` is its last row. Flat features have neither pools nor maps."""
    c = wide = shape[0]
    if len(shape) == 3:
        wide = 4 * c
        if kind != "cnn":
            yield "shrink", nn.AdaptiveAvgPool2d((math.ceil(shape[1] / 4), math.ceil(shape[2] / 4)))
        kernel = 3 if kind == "cnn" else 1
        for i in range({"mlp-sr": 3, "cnn": 2}.get(kind, 0)):
            yield f"conv{i}", nn.Conv2d(c, c, kernel, 1, kernel // 2, bias=False)
            yield f"bn{i}", nn.BatchNorm2d(c)
            yield f"relu{i}", nn.ReLU()
        yield "quarter", nn.AdaptiveAvgPool2d(2)
        if kind == "cnn":
            yield "bn", nn.BatchNorm2d(c)
        yield "flat", nn.Flatten()
    hidden = {"mlp": 3, "mlp-sr": 3, "mlp2": 2, "cnn": 0}[kind]
    for i in range(hidden):
        yield f"fc{i}", nn.Linear(wide, wide)
        yield f"fc-bn{i}", nn.BatchNorm1d(wide)
        yield f"act{i}", nn.ReLU()
    yield f"fc{hidden}", nn.Linear(wide, out)


def copied(c: int, copies: Copies, out: int) -> Layers:
    """AugLocal's (7): copies of blocks, then average pooling and one linear layer."""
    for i, (width, stride) in enumerate(copies):
        yield f"block{i}", PlainBlock(c, width, stride)
        c = width
    yield "pool", nn.AdaptiveAvgPool2d(1)
    yield "flat", nn.Flatten()
    if len(copies) <= 1:
        yield "bn", nn.BatchNorm1d(c)
    yield "fc0", nn.Linear(c, out)


def copies_behind(
    layer: int, widths: Sequence[int], depth: int, share: int = 1
) -> list[tuple[int, int]]:
    """What a net behind `layer` copies of layers with these `widths` (7): their widths and strides.

    A group that hears nothing of its `share` peers copies thinner ones.
    """
    last = len(widths) - 1
    if depth >= last - layer:
        chosen = [*range(layer + 1, last + 1)]
    else:
        chosen = [round(layer + i * (last - layer) / depth) for i in range(1, depth + 1)]
    befores = [widths[i] for i in (layer, *chosen)]
    return [
        (max(1, after // share), 2 if after > before else 1) for before, after in pairwise(befores)
    ]


def pyramid(depth: int, row: int, rows: int) -> int:
    """How many layers the net of `row` copies in a pyramid of so many rows (7)."""
    t = 0.5 * row / (rows - 2) if rows > 2 else 0.0
    return max(1, round(depth * (1 - t) + t))
