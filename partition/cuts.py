"""Where to cut an ordered list of blocks into contiguous modules. Takes numbers, knows no network.

A cut is the tuple of the first block's index of every module but the first: (8,) cuts sixteen
blocks into 0-7 and 8-15.
"""

from collections.abc import Callable
from functools import cache
from itertools import pairwise

Cut = tuple[int, ...]


def even(blocks: int, depth: int) -> Cut:
    """As many blocks in every module, the first ones one more where it does not come out."""
    size, extra = divmod(blocks, depth)
    return tuple(k * size + min(k, extra) for k in range(1, depth))


def single(depth: int) -> Cut:
    """One block in every module, the rest in the last (AugLocal)."""
    return tuple(range(1, depth))


def min_max(blocks: int, depth: int, cost: Callable[[int, int, int], float]) -> Cut:
    """The cut whose most expensive module is cheapest: exact, over all contiguous cuts.

    `cost(k, start, stop)` is the cost of module k if it holds blocks `start` to `stop` (exclusive).
    Among equals the one whose first module is shortest, the rest by the same rule.
    O(depth * blocks²) costs.
    """

    @cache
    def best(k: int, start: int) -> tuple[float, Cut]:
        """Cheapest way to place modules k … depth-1 on the blocks from `start`."""
        if k == depth - 1:
            return cost(k, start, blocks), ()
        options: list[tuple[float, Cut]] = []
        for stop in range(start + 1, blocks - (depth - 1 - k) + 1):
            rest, cut = best(k + 1, stop)
            options.append((max(cost(k, start, stop), rest), (stop, *cut)))
        return min(options)

    return best(0, 0)[1]


def spans(blocks: int, cut: Cut) -> list[range]:
    """The block indices of every module."""
    return [range(start, stop) for start, stop in pairwise((0, *cut, blocks))]
