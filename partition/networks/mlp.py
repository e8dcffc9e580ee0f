"""A plain multi-layer perceptron: small enough for tests and first steps."""

import math

from torch import Tensor, nn

from partition.layers import Dense
from partition.networks.block import Block, Network, Piece, Style
from partition.spans import Span


class Layer(nn.Module):
    """Linear → batch-norm → ReLU on flattened features."""

    def __init__(self, before: int, width: int, piece: Piece) -> None:
        super().__init__()
        own = Span.of(before, piece.group, piece.groups)
        writes = Span.of(width, piece.group, piece.groups)
        self.linear = Dense(Span.whole(before) if piece.whole else own, writes)
        self.bn = nn.BatchNorm1d(writes.size)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:  # (batch, …) → (batch, width / G)
        return self.relu(self.bn(self.linear(x.flatten(1))))


def mlp(
    name: str, widths: tuple[int, ...], shape: tuple[int, int, int], _: Style, __: int
) -> Network:
    """One block per width; the first reads the flattened image of `shape`."""
    befores = (math.prod(shape), *widths)

    def layer(index: int, before: int, width: int) -> Block:
        return Block(
            name=f"layer{index}", width=width, build=lambda piece: Layer(before, width, piece)
        )

    blocks = (layer(i, b, w) for i, (b, w) in enumerate(zip(befores, widths, strict=False)))
    return Network(name=name, blocks=tuple(blocks), base=widths[0], even=False)
