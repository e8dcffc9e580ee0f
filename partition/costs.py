"""What blocks cost in time, as numbers for the cut solver; somebody else measures them."""

from collections.abc import Sequence
from dataclasses import dataclass

from partition.cuts import Cut, min_max


@dataclass(frozen=True, kw_only=True)
class BlockCost:
    """Seconds per training step of one block, and of what stands behind it if it ends a row."""

    name: str
    block: float
    head: float


def row_seconds(costs: Sequence[BlockCost], start: int, stop: int, replicas: int = 1) -> float:
    """Seconds per step of a process whose row has blocks `start` to `stop` (exclusive)."""
    return (sum(cost.block for cost in costs[start:stop]) + costs[stop - 1].head) / replicas


def quickest(costs: Sequence[BlockCost], replicas: Sequence[int]) -> Cut:
    """The cut whose slowest process is quickest; `replicas` has one number for each row."""
    return min_max(
        len(costs),
        len(replicas),
        lambda k, start, stop: row_seconds(costs, start, stop, replicas[k]),
    )
