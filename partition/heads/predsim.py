"""The two small nets of predsim (Nøkland & Eidnes, ICML 2019; spec §3.2).

pred   average pool until C h w ≤ room → linear to the classes (its weight starts at zero)
sim    conv3x3 C→C without bias, whose maps are compared between samples; flat features: linear
"""

from torch import Tensor, nn

from partition.heads.spec import HeadSpec
from partition.layers import Conv, Dense, Flat
from partition.spans import Span


def pooling(shape: tuple[int, ...], room: int) -> tuple[int, int]:
    """Height and width of the pooling window: they double in turn until the maps fit."""
    channels, height, width = shape
    rows = columns = 1
    while channels * (height // rows) * (width // columns) > room:
        if rows <= columns and 2 * rows <= height:
            rows *= 2
        elif 2 * columns <= width:
            columns *= 2
        elif 2 * rows <= height:
            rows *= 2
        else:  # one pixel is left
            break
    return rows, columns


class PredSim(nn.Module):
    """`pred`, `sim`, or both; gives (logits or None, features to compare or None)."""

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        channels, maps = spec.shape[0], len(spec.shape) == 3
        whole = Span.whole(channels)
        self.pool = self.pred = self.sim = None
        if spec.kind != "sim":
            size = channels
            if maps:
                rows, columns = pooling(spec.shape, spec.room)
                self.pool = nn.AvgPool2d((rows, columns))
                size *= (spec.shape[1] // rows) * (spec.shape[2] // columns)
            self.flat = Flat()
            self.pred = Dense(Span.whole(size), Span.whole(spec.writes), zero=spec.zero)
        if spec.kind != "pred":
            self.sim = Conv(whole, whole, 3) if maps else Dense(whole, whole, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        logits = None
        if self.pred is not None:
            logits = self.pred(self.flat(x if self.pool is None else self.pool(x)))
        return logits, None if self.sim is None else self.sim(x)
