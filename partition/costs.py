"""What blocks cost in time, as numbers for the cut solver; somebody else measures them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from partition.cuts import Cut, min_max


@dataclass(frozen=True, kw_only=True)
class BlockCost:
    """Seconds per training step of one block, and of what stands behind it if it ends a row.

    `first`: where it begins a row; what a row reads is detached, so no gradient is taken for it.
    `inside`: behind another block of its row, which hears its gradient. `heads`: of what stands
    behind it, by the row k that it ends; rows that can not end here are missing.
    """

    name: str
    first: float
    inside: float
    heads: Mapping[int, float]


def row_seconds(
    costs: Sequence[BlockCost], k: int, start: int, stop: int, replicas: int = 1
) -> float:
    """Seconds per step of a process whose row k has blocks `start` to `stop` (exclusive)."""
    inside = sum(cost.inside for cost in costs[start + 1 : stop])
    return (costs[start].first + inside + costs[stop - 1].heads[k]) / replicas


def rows_that_end(stop: int, *, blocks: int, depth: int) -> range:
    """Which of `depth` rows may end before block `stop`, if each has a block and the last ends all.

    >>> [list(rows_that_end(stop, blocks=4, depth=3)) for stop in range(1, 5)]
    [[0], [0, 1], [1], [2]]
    """
    if stop == blocks:
        return range(depth - 1, depth)
    return range(max(0, stop - blocks + depth - 1), min(stop, depth - 1))


def quickest(costs: Sequence[BlockCost], replicas: Sequence[int]) -> Cut:
    """The cut whose slowest process is quickest; `replicas` has one number for each row."""
    return min_max(
        len(costs),
        len(replicas),
        lambda k, start, stop: row_seconds(costs, k, start, stop, replicas[k]),
    )
