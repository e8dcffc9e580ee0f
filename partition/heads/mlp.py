"""DGL's auxiliary nets (Belilovsky et al., ICML 2020, section 5.1; spec §4.1), for C maps of SxS.

    mlp-sr   average pool to ceil(S/4) → 3 x [conv1x1 C→C → BN → ReLU] → pool to 2x2
             → 3 x [linear 4C→4C → BN → ReLU] → linear
    mlp      the same without the convolutions
    cnn      2 x [conv3x3 C→C → BN → ReLU] → pool to 2x2 → BN → linear
    mlp2     mlp with two hidden layers: the end of DGL's trunk

Flat features skip pools and convolutions: their linear layers are C→C.
"""

from collections.abc import Iterator

from torch import nn

from partition.heads.spec import HeadSpec
from partition.layers import Conv, Dense, Flat
from partition.spans import Span


def mlp(spec: HeadSpec) -> nn.Sequential:
    """mlp, mlp-sr, cnn or mlp2."""
    head = nn.Sequential()
    for name, layer in _maps(spec) if len(spec.shape) == 3 else ():
        head.add_module(name, layer)
    head.add_module("flat", Flat())
    features = spec.shape[0] * (4 if len(spec.shape) == 3 else 1)
    whole = Span.whole(features)
    hidden = {"mlp": 3, "mlp-sr": 3, "mlp2": 2, "cnn": 0}[spec.kind]
    for index in range(hidden):
        head.add_module(f"fc{index}", Dense(whole, whole))
        head.add_module(f"fc-bn{index}", nn.BatchNorm1d(features))
        head.add_module(f"fc-relu{index}", nn.ReLU(inplace=True))
    head.add_module(f"fc{hidden}", Dense(whole, Span.whole(spec.writes), zero=spec.zero))
    return head


def _maps(spec: HeadSpec) -> Iterator[tuple[str, nn.Module]]:
    """What stands before the linear layers, down to maps of 2x2."""
    channels, height, width = spec.shape
    whole = Span.whole(channels)
    if spec.kind != "cnn":
        yield "pool", nn.AdaptiveAvgPool2d((-(-height // 4), -(-width // 4)))
    kernel = {"mlp-sr": 1, "cnn": 3}.get(spec.kind)
    for index in range({"mlp-sr": 3, "cnn": 2}.get(spec.kind, 0)):
        assert kernel is not None
        yield f"conv{index}", Conv(whole, whole, kernel)
        yield f"bn{index}", nn.BatchNorm2d(channels)
        yield f"relu{index}", nn.ReLU(inplace=True)
    yield "pool2", nn.AdaptiveAvgPool2d(2)
    if spec.kind == "cnn":
        yield "bn", nn.BatchNorm2d(channels)
