"""What a method asks the planner to build and to connect, beyond the forward route."""

from dataclasses import dataclass
from typing import Literal

HeadKind = Literal["1c2f", "0c1f"]
Share = Literal["pooled", "maps", "none"]
Tail = Literal["head", "fc"]


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """The shape of a method, as far as the plan must know it.

    - `head`: the auxiliary net of every module (spec §1.3).
    - `tail`: how the last row ends. `head`: like every other row, plus a read-out head of its own
      behind it. `fc`: in global average pooling and one linear layer, and nothing behind it.
    - `share`: which features the modules of a row show each other before their heads: whole
      `maps`, `pooled` to at most `pool` x `pool`, or `none`.
    - `compare`: whether they also exchange their softmax vectors (the diversity term).
    - `local`: False for a method that can not be cut (backprop).
    """

    head: HeadKind = "1c2f"
    tail: Tail = "head"
    share: Share = "none"
    pool: int = 8
    compare: bool = False
    local: bool = True
