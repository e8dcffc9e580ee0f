"""One head as a value, before it is built."""

from dataclasses import dataclass

from partition.spans import Span
from partition.wiring import HeadKind


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """One head. `shape` is what it reads: (channels, height, width), or (features,).

    - `writes` numbers per sample: class logits if `votes`, else an embedding (0: nothing).
    - `gathers`: it reads the features of all groups of its row, joined in group order; `own` is
      the span of the row's channels that is the module's and keeps its gradient. Maps larger than
      `pool` are average-pooled to it before they are joined (None: never), and of every other
      group only `ratio` of the channels are heard.
    - `keeps`: its convolutions keep the map's width and size (InfoPro's, in the last stage).
    - `zero`: the weight that writes starts at zero.
    - `copies`: (width, stride) of the residual blocks of a `layers` head.
    - `room`: features that a `pred` head reads at most; larger maps are pooled.
    """

    kind: HeadKind
    shape: tuple[int, ...]
    hidden: int
    writes: int
    votes: bool
    gathers: bool
    own: Span
    pool: int | None = None
    ratio: float = 1.0
    keeps: bool = False
    zero: bool = False
    copies: tuple[tuple[int, int], ...] = ()
    room: int = 4096
