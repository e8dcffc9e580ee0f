"""Networks whose every layer has a feedback mirror, for target propagation (spec: dtp §1.1, §1.8).

    simple_vgg   conv_0 … conv_4   conv3x3 → ELU → max-pool 2        128 128 256 256 512
                 fc                linear to the classes
    lenet        conv_0, conv_1    conv5x5 → ELU → max-pool 3, stride 2, padding 1   32 64
                 fc_0              linear → ELU                      512
                 fc                linear to the classes

No batch-norm, biases everywhere, PyTorch's default first weights; the last layer is the classifier.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from partition.layers import Conv, Dense
from partition.networks.block import Block, Network, Piece, Style
from partition.spans import Span

Code = Tensor | None  # where each pooled value came from; None for layers that do not pool


class PooledConv(nn.Module):
    """conv → ELU → max-pool. The pool comes first, which is faster and the same, as ELU rises."""

    def __init__(self, before: int, width: int, kernel: int, pool: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv = Conv(Span.whole(before), Span.whole(width), kernel, bias=True, uniform=True)
        self.elu = nn.ELU()
        size, stride, padding = pool
        self.pool = nn.MaxPool2d(size, stride, padding, return_indices=True)

    @property
    def weight(self) -> Tensor:
        """(width, before, kernel, kernel)."""
        return self.conv.weight

    def coded(self, x: Tensor) -> tuple[Tensor, Code]:
        """What the layer makes of x, and the indices of its pool."""
        pooled, code = self.pool(self.conv(x))
        return self.elu(pooled), code

    def forward(self, x: Tensor) -> Tensor:  # (batch, before, h, w) → (batch, width, h', w')
        return self.coded(x)[0]


class Activated(nn.Module):
    """flatten → linear → ELU, or without the ELU: the classifier."""

    def __init__(self, before: int, width: int, *, elu: bool) -> None:
        super().__init__()
        self.linear = Dense(Span.whole(before), Span.whole(width))
        self.elu = nn.ELU() if elu else nn.Identity()

    @property
    def weight(self) -> Tensor:
        """(width, before)."""
        return self.linear.weight

    def coded(self, x: Tensor) -> tuple[Tensor, Code]:
        """What the layer makes of x; there is nothing to remember."""
        return self.elu(self.linear(x.flatten(1))), None

    def forward(self, x: Tensor) -> Tensor:  # (batch, …) → (batch, width)
        return self.coded(x)[0]


def _chain(
    shape: tuple[int, int, int],
    convs: Sequence[int],
    linears: Sequence[int],
    *,
    kernel: int,
    pool: tuple[int, int, int],
) -> list[Block]:
    """Convolutions, then linear layers; the last of these is the classifier."""
    blocks: list[Block] = []
    channels, height, width = shape
    size, stride, padding = pool
    for index, made in enumerate(convs):

        def conv(_: Piece, before: int = channels, made: int = made) -> nn.Module:
            return PooledConv(before, made, kernel, pool)

        blocks.append(Block(name=f"conv_{index}", width=made, build=conv))
        channels = made
        height, width = ((side + 2 * padding - size) // stride + 1 for side in (height, width))
    features = channels * height * width
    for index, made in enumerate(linears):
        last = index == len(linears) - 1

        def linear(
            _: Piece, before: int = features, made: int = made, last: bool = last
        ) -> nn.Module:
            return Activated(before, made, elu=not last)

        blocks.append(Block(name="fc" if last else f"fc_{index}", width=made, build=linear))
        features = made
    return blocks


def simple_vgg(
    name: str, widths: tuple[int, ...], shape: tuple[int, int, int], _: Style, classes: int
) -> Network:
    """Five convolutions, which halve the map each, and the classifier."""
    blocks = _chain(shape, widths, (classes,), kernel=3, pool=(2, 2, 0))
    return Network(name=name, blocks=tuple(blocks), base=16, slices=False, classifies=True)


def lenet(
    name: str, widths: tuple[int, ...], shape: tuple[int, int, int], _: Style, classes: int
) -> Network:
    """Two convolutions, a hidden layer and the classifier."""
    *convs, hidden = widths
    blocks = _chain(shape, convs, (hidden, classes), kernel=5, pool=(3, 2, 1))
    return Network(name=name, blocks=tuple(blocks), base=16, slices=False, classifies=True)
