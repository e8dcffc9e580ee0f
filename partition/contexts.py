"""Context encoders: what a module reads beside the features of the row before (ContSup; spec §6).

    i_{j+1} = sg[h_j] + Enc(image) + Σ ResEnc_r(i_{j-r})                 i_0 is the image

They belong to the receiver and learn from its loss. With groups, the encoders of group g write the
channels of g alone, and what later rows hear of i_{j+1} is every group's own part of it: each slice
of a supplemented input has one owner, as every slice of the features has.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from partition.layers import Conv
from partition.spans import Span

HIDDEN = 12


@dataclass(frozen=True, kw_only=True)
class ContextSpec:
    """One context: the input of row `source`, (channels, height, width); row 0's is the image.

    `deep`: two 3x3 convolutions at full size (E of the modes' names) instead of a 1x1 one (R).
    """

    source: int
    deep: bool
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """ "image" for the deep encoder, else the address part of the row it comes from."""
        return "image" if self.deep else f"k{self.source}"


def context_specs(
    row: int, inputs: Sequence[tuple[int, ...]], *, memory: int, image: bool
) -> tuple[ContextSpec, ...]:
    """The contexts of row `row`; `inputs` are the shapes that every row reads, the image first.

    The `memory` rows before hand on their inputs; with `image` that of row 0 counts as the image's
    own encoder, not as memory.
    """
    if row == 0:
        return ()
    first = 1 if image else 0
    rows = range(row - 1, max(first, row - memory) - 1, -1)
    shallow = [ContextSpec(source=s, deep=False, shape=inputs[s]) for s in rows]
    deep = [ContextSpec(source=0, deep=True, shape=inputs[0])] if image else []
    return (*deep, *shallow)


def _encoder(spec: ContextSpec, writes: Span, size: tuple[int, ...]) -> nn.Sequential:
    """From a source to the channels `writes` of the module's input, at its `size`."""
    encoder = nn.Sequential()
    channels = [Span.whole(spec.shape[0]), *([Span.whole(HIDDEN)] if spec.deep else []), writes]
    kernel = 3 if spec.deep else 1
    for index, (a, b) in enumerate(pairwise(channels)):
        encoder.add_module(f"conv{index}", Conv(a, b, kernel, bias=True))
        encoder.add_module(f"bn{index}", nn.BatchNorm2d(b.size))
        encoder.add_module(f"relu{index}", nn.ReLU(inplace=True))
    encoder.add_module("pool", nn.AdaptiveAvgPool2d((size[0], size[1])))
    return encoder


class Contexts(nn.ModuleDict):
    """All encoders of one module; maps the sources, in the order of the specs, to their sum."""

    def __init__(self, specs: Sequence[ContextSpec], writes: Span, size: tuple[int, ...]) -> None:
        super().__init__(OrderedDict((spec.name, _encoder(spec, writes, size)) for spec in specs))

    def forward(self, *sources: Tensor) -> Tensor:
        first, *others = (
            encoder(source) for encoder, source in zip(self.values(), sources, strict=True)
        )
        for other in others:
            first = first + other
        return first
