"""What a method asks the planner to build and to connect, beyond the forward route."""

from dataclasses import dataclass
from typing import Literal

AuxiliaryKind = Literal[
    "0c1f", "0c2f", "1c1f", "1c2f", "1c3f", "2c2f", "mlp", "mlp-sr", "cnn", "layers",
]  # fmt: skip
PredSimKind = Literal["predsim", "pred", "sim"]
HeadKind = AuxiliaryKind | PredSimKind | Literal["mlp2", "none"]
Share = Literal["pooled", "maps", "none"]
Tail = Literal["head", "aux", "fc", "mlp"]
TAILS: dict[Tail, HeadKind] = {"fc": "0c1f", "mlp": "mlp2"}


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """The shape of a method, as far as the plan must know it.

    - `head`: the auxiliary net of every module (spec §1.3), with `layers` blocks if it copies
      layers, fewer in deeper rows if `pyramid`. `keeps`: in the last stage its convolutions keep
      the map as it is (InfoPro). `zero`: what writes its logits starts at zero. `room`: a `pred`
      head pools larger maps.
    - `embeds`: the heads write embeddings of so many numbers instead of class logits.
    - `tail`: how the last row ends. `head`: like every other row, plus a read-out head of its own
      behind it, of the kind `readout`. `aux`: like every other row. `fc`: in global average pooling
      and one linear layer; `mlp`: in pooling and an MLP; nothing stands behind these.
    - `share`: which features the modules of a row show each other before their heads: whole
      `maps`, `pooled` to at most `pool` x `pool`, or `none`; of each peer the part `ratio`.
    - `compare`: whether they also exchange their softmax vectors (the diversity term).
    - `decoder`: every module with an auxiliary net also reconstructs the image.
    - `memory`, `image`: the contexts of every module but row 0's (ContSup).
    - `feedback`: every module hears, from the next row, a target for what it made (DTP); the
      numbers are of the feedback iterations per batch, for every block but the first, each of
      which costs as much as `feedback_passes` of the block's forward passes. Targets are made by
      the feedback weights of `feedback_lag` batches before: not exact, if it is not 0.
    - `local`: False for a method that can not be cut (backprop).
    """

    head: HeadKind = "1c2f"
    layers: int = 2
    pyramid: bool = False
    keeps: bool = False
    zero: bool = False
    room: int = 4096
    embeds: int = 0
    tail: Tail = "head"
    readout: HeadKind = "1c2f"
    share: Share = "none"
    ratio: float = 1.0
    pool: int = 8
    compare: bool = False
    decoder: bool = False
    memory: int = 0
    image: bool = False
    feedback: tuple[int, ...] = ()
    feedback_passes: int = 4
    feedback_lag: int = 0
    local: bool = True
