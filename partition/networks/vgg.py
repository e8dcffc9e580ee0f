"""Plain stacks of 3x3 convolutions, each with batch-norm and a rectifier.

    vgg6a   conv1 128 - pool - conv2 256 - pool - conv3 512 - pool - conv4 512 - fc1 1024
            (GN-DGL, layer-wise; spec §3.1); vgg6a-x2 and -x3 have wider convolutions
    cnn6    conv1 128 - pool - conv2 256 - conv3 256 - pool - conv4 512 - conv5 512 - conv6 512
            (DGL's study on CIFAR; spec §4.1)

A head reads a block's output before the dropout and the pooling that lead to the next block.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from partition.layers import Conv, Dense, Dropout
from partition.networks.block import Block, Network, Piece, Style
from partition.spans import Span

TAKES = ("dropout", "slope")


def _rectifier(slope: float) -> nn.Module:
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)


def _spans(before: int, width: int, piece: Piece) -> tuple[Span, Span]:
    own = Span.of(before, piece.group, piece.groups)
    reads = Span.whole(before) if piece.whole else own
    return reads, Span.of(width, piece.group, piece.groups)


class Convolution(nn.Module):
    """conv3x3 → BN → rectifier."""

    def __init__(self, before: int, width: int, piece: Piece, *, bias: bool, slope: float) -> None:
        super().__init__()
        reads, writes = _spans(before, width, piece)
        self.conv = Conv(reads, writes, 3, bias=bias)
        self.bn = nn.BatchNorm2d(writes.size)
        self.relu = _rectifier(slope)

    def forward(self, x: Tensor) -> Tensor:  # (batch, read, h, w) → (batch, width / G, h, w)
        return self.relu(self.bn(self.conv(x)))


class Linear(nn.Module):
    """flatten → linear → BN → rectifier. It reads `before` channels of `area` pixels."""

    def __init__(self, before: int, area: int, width: int, piece: Piece, *, slope: float) -> None:
        super().__init__()
        reads, writes = _spans(before, width, piece)
        flat = Span(reads.start * area, reads.stop * area, reads.total * area)
        self.linear = Dense(flat, writes)
        self.bn = nn.BatchNorm1d(writes.size)
        self.relu = _rectifier(slope)

    def forward(self, x: Tensor) -> Tensor:  # (batch, read, …) → (batch, width / G)
        return self.relu(self.bn(self.linear(x.flatten(1))))


def _outlet(width: int, pool: bool, style: Style) -> Callable[[Piece], nn.Module]:
    def build(piece: Piece) -> nn.Module:
        outlet = nn.Sequential()
        if style.dropout:
            writes = Span.of(width, piece.group, piece.groups)
            outlet.add_module("dropout", Dropout(style.dropout, writes))
        if pool:
            outlet.add_module("pool", nn.MaxPool2d(2))
        return outlet

    return build


def _convolutions(
    widths: Sequence[int], channels: int, pools: Sequence[int], *, bias: bool, style: Style
) -> list[Block]:
    def block(index: int, before: int, width: int) -> Block:
        return Block(
            name=f"conv{index}",
            width=width,
            build=lambda piece: Convolution(before, width, piece, bias=bias, slope=style.slope),
            outlet=_outlet(width, index in pools, style),
        )

    befores = (channels, *widths)
    return [block(i, b, w) for i, (b, w) in enumerate(zip(befores, widths, strict=False), start=1)]


def vgg6a(
    name: str, widths: tuple[int, ...], shape: tuple[int, int, int], style: Style, _: int
) -> Network:
    """Four convolutions with biases and a linear layer; `widths` are theirs."""
    channels, height, width = shape
    *maps, last = widths
    blocks = _convolutions(maps, channels, (1, 2, 3), bias=True, style=style)
    area = (height // 8) * (width // 8)
    linear = Block(
        name="fc1",
        width=last,
        build=lambda piece: Linear(maps[-1], area, last, piece, slope=style.slope),
        outlet=_outlet(last, False, style),
    )
    return Network(name=name, blocks=(*blocks, linear), base=16, even=False, takes=TAKES)


def cnn6(
    name: str, widths: tuple[int, ...], shape: tuple[int, int, int], style: Style, _: int
) -> Network:
    """Six convolutions, no linear layer: the head is one."""
    blocks = _convolutions(widths, shape[0], (1, 3), bias=False, style=style)
    return Network(name=name, blocks=tuple(blocks), base=16, even=False, takes=TAKES)
