"""GN-DGL's and InfoPro's auxiliary nets: so many convolutions, so many linear layers.

    1c2f    conv3x3 C→2C, stride 2 → BN → ReLU → global average pool → linear 2C→F → ReLU → linear
    2c2f    a second conv3x3 2C→2C, stride 1 → BN → ReLU behind the first
    0c1f    global average pool → linear                        (and so on: 0c2f, 1c1f, 1c3f)

On flat features (an MLP's) the convolutions become linear layers and the pool falls away.
Source: InfoPro (ICLR 2021), released code; GN-DGL uses 1c2f (spec §1.3, §5).
"""

import re
from itertools import pairwise

from torch import nn

from partition.heads.spec import HeadSpec
from partition.layers import Conv, Dense, Flat
from partition.spans import Span


def conv_fc(spec: HeadSpec) -> nn.Sequential:
    """The head named `<convolutions>c<linear layers>f`."""
    found = re.fullmatch(r"(\d)c(\d)f", spec.kind)
    assert found is not None
    convolutions, linears = int(found[1]), int(found[2])
    head = nn.Sequential()
    channels, maps = spec.shape[0], len(spec.shape) == 3
    for index in range(convolutions):
        first = index == 0 and not spec.keeps
        reads, writes = Span.whole(channels), Span.whole(channels * (2 if first else 1))
        if maps:
            head.add_module(f"conv{index}", Conv(reads, writes, 3, stride=2 if first else 1))
            head.add_module(f"bn{index}", nn.BatchNorm2d(writes.size))
        else:
            head.add_module(f"linear{index}", Dense(reads, writes))
            head.add_module(f"bn{index}", nn.BatchNorm1d(writes.size))
        head.add_module(f"relu{index}", nn.ReLU(inplace=True))
        channels = writes.size
    if maps:
        head.add_module("gap", nn.AdaptiveAvgPool2d(1))
        head.add_module("flat", Flat())
    widths = (channels, *(spec.hidden,) * (linears - 1), spec.writes)
    for index, (reads, writes) in enumerate(pairwise(widths)):
        if index:
            head.add_module(f"fc-relu{index}", nn.ReLU(inplace=True))
        zero = spec.zero and index == linears - 1
        head.add_module(f"fc{index}", Dense(Span.whole(reads), Span.whole(writes), zero=zero))
    return head
