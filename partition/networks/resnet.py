"""ResNets for small images (He et al. 2015, section 4.2): 6n+2 layers, three stages of n blocks.

    stem    conv3x3 → BN → ReLU                                    w0, 32x32
    s1b0 …  conv3x3 → BN → ReLU → conv3x3 → BN, + shortcut, ReLU   w1, 32x32  (dropout: before the
            second convolution)
    s2b0 …  the same, the first with stride 2                      w2, 16x16
    s3b0 …                                                         w3,  8x8

Inside a module every convolution of group g reads and writes its own slice. The first block after a
cut reads all channels, in its first convolution and its 1x1 shortcut; an identity shortcut there
takes the group's slice of what arrived (GN-DGL, released code; spec §1.2).
"""

from torch import Tensor, nn

from partition.layers import Conv, Dropout
from partition.networks.block import Block, Network, Piece, Style
from partition.spans import Span


class Stem(nn.Module):
    """The first convolution; every group reads the whole image."""

    def __init__(self, channels: int, width: int, piece: Piece) -> None:
        super().__init__()
        writes = Span.of(width, piece.group, piece.groups)
        self.conv = Conv(Span.whole(channels), writes, 3)
        self.bn = nn.BatchNorm2d(writes.size)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:  # (batch, channels, h, w) → (batch, width / G, h, w)
        return self.relu(self.bn(self.conv(x)))


class Basic(nn.Module):
    """A basic block with a post-activation residual."""

    def __init__(
        self, before: int, width: int, stride: int, piece: Piece, dropout: float = 0.0
    ) -> None:
        super().__init__()
        own = Span.of(before, piece.group, piece.groups)
        reads = Span.whole(before) if piece.whole else own
        writes = Span.of(width, piece.group, piece.groups)
        self.conv1 = Conv(reads, writes, 3, stride)
        self.bn1 = nn.BatchNorm2d(writes.size)
        self.relu1 = nn.ReLU(inplace=True)
        self.dropout = Dropout(dropout, writes)
        self.conv2 = Conv(writes, writes, 3)
        self.bn2 = nn.BatchNorm2d(writes.size)
        self.relu2 = nn.ReLU(inplace=True)
        self.projects = stride != 1 or before != width
        if self.projects:
            self.short_conv = Conv(reads, writes, 1, stride)
            self.short_bn = nn.BatchNorm2d(writes.size)
        # Where an identity shortcut finds the group's channels in what it reads.
        self.residual = own.slice if piece.whole else slice(None)

    def forward(self, x: Tensor) -> Tensor:  # (batch, read, h, w) → (batch, width / G, h', w')
        h = self.dropout(self.relu1(self.bn1(self.conv1(x))))
        h = self.bn2(self.conv2(h))
        shortcut = self.short_bn(self.short_conv(x)) if self.projects else x[:, self.residual]
        return self.relu2(h + shortcut)


def resnet(
    name: str, blocks: int, widths: tuple[int, int, int, int], channels: int, style: Style
) -> Network:
    """ResNet-(6 * `blocks` + 2) with stem and stage `widths` for images of `channels`."""

    def stem(piece: Piece) -> nn.Module:
        return Stem(channels, widths[0], piece)

    def basic(before: int, width: int, stride: int) -> Block:
        return Block(
            name=f"s{stage}b{index}",
            width=width,
            build=lambda piece: Basic(before, width, stride, piece, style.dropout),
            residual=True,
        )

    listed = [Block(name="stem", width=widths[0], build=stem)]
    before = widths[0]
    for stage, width in enumerate(widths[1:], start=1):
        for index in range(blocks):
            listed.append(basic(before, width, 2 if stage > 1 and index == 0 else 1))
            before = width
    return Network(name=name, blocks=tuple(listed), base=widths[0], takes=("dropout",))
