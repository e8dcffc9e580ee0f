"""Where to cut: the solver against trying everything."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partition.cuts import Cut, even, min_max, spans


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """What every block costs, what a head behind it costs, and how many modules there are."""
    blocks = draw(st.integers(1, 9))
    costs = st.lists(st.integers(0, 20), min_size=blocks, max_size=blocks)
    return draw(costs), draw(costs), draw(st.integers(1, blocks))


@given(problems())
def test_no_cut_has_a_cheaper_slowest_module(problem: tuple[list[int], list[int], int]) -> None:
    blocks, heads, depth = problem

    def cost(k: int, start: int, stop: int) -> int:
        return sum(blocks[start:stop]) * (2 if k == 0 else 1) + heads[stop - 1]

    def slowest(cut: Cut) -> int:
        return max(cost(k, r.start, r.stop) for k, r in enumerate(spans(len(blocks), cut)))

    found = min_max(len(blocks), depth, cost)
    every = [*combinations(range(1, len(blocks)), depth - 1)]
    assert found in every
    assert slowest(found) == min(map(slowest, every))


def test_among_equals_the_first_module_is_shortest_and_the_rest_balanced() -> None:
    blocks = [9, 1, 1, 1, 1]
    assert min_max(5, 3, lambda k, start, stop: sum(blocks[start:stop])) == (1, 3)


@given(st.integers(1, 30), st.data())
def test_an_even_cut_differs_by_one_block_at_most(blocks: int, data: st.DataObject) -> None:
    depth = data.draw(st.integers(1, blocks))
    sizes = [len(span) for span in spans(blocks, even(blocks, depth))]
    assert len(sizes) == depth and sum(sizes) == blocks
    assert max(sizes) - min(sizes) <= 1 and sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("cut", [(), (8,), (1, 2, 15)])
def test_spans_follow_each_other_without_gaps(cut: Cut) -> None:
    found = spans(16, cut)
    assert found[0].start == 0 and found[-1].stop == 16
    assert all(a.stop == b.start for a, b in pairwise(found))
