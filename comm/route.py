"""A route: who sends what to whom. A value, drawn by the planner before the first batch."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from comm.address import Address
from comm.share import WHOLE, Share

Layout = Literal["contiguous", "channels_last"]

# Item sizes by name, so that a route can be planned and printed without torch.
DTYPES = {"float32": 4, "float64": 8, "bfloat16": 2, "float16": 2, "int64": 8, "uint8": 1}
ALIGNMENT = 64  # bytes; every tensor of a frame starts on a cache line


class Kind(StrEnum):
    """Why a route exists."""

    AHEAD = "ahead"  # features, to the next row
    CONTEXT = "context"  # a row's own input, to a later row
    PEER = "peer"  # stop-gradient features or votes, within a row
    TARGET = "target"  # targets, to the row before
    PERMIT = "permit"  # nothing but the header: k0g0 lets row 0 begin a turn, or ends the run


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One tensor of a message, without its batch dimension."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    layout: Layout = "contiguous"

    def bytes(self, rows: int) -> int:
        """Bytes of `rows` samples."""
        return rows * math.prod(self.shape) * DTYPES[self.dtype]

    def room(self, rows: int) -> int:
        """Bytes of `rows` samples, rounded up to where the next tensor may start."""
        return -(-self.bytes(rows) // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, kw_only=True)
class Route:
    """A one-way road between two modules; prints `k2g0→k3g1`.

    `learning` and `voting` say which tensors a message carries in a training and in an
    evaluation turn; `rows` is the largest batch of either. `window` is how many messages may
    be under way, sent and not yet asked for. `tag` tells the routes of a plan apart. `sends` and
    `hears` are the shares of the batch at both ends: what both have travels. `times` counts the
    messages of a training step. Gradients are one row, whatever the batch.
    """

    source: Address
    target: Address
    kind: Kind
    name: str
    learning: tuple[TensorSpec, ...]
    voting: tuple[TensorSpec, ...]
    rows: int
    window: int
    tag: int
    sends: Share = WHOLE
    hears: Share = WHOLE
    times: int = 1

    def __str__(self) -> str:
        return f"{self.source}→{self.target}"

    def part(self, batch: int) -> slice:
        """What travels of the sender's rows, if the whole batch has so many."""
        return self.sends.common(self.hears, batch)

    def bytes(self, batch: int) -> int:
        """Payload bytes of one training step, if the whole batch has so many rows."""
        part = self.part(batch)
        rows = min(part.stop - part.start, self.rows)
        return self.times * sum(spec.bytes(rows) for spec in self.learning)

    @property
    def capacity(self) -> int:
        """Bytes of the largest payload that may travel here."""
        return max(
            sum(spec.room(self.rows) for spec in specs) for specs in (self.learning, self.voting)
        )
