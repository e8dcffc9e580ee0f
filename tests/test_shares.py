"""Shares of a batch: every row is somebody's, and whoever hears of it has a route."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comm.share import WHOLE, Share
from tests.plays import road, spec

SHARES = st.integers(1, 9)
BATCHES = st.integers(0, 300)


@given(SHARES, BATCHES)
def test_shares_are_a_partition_as_equal_as_possible(of: int, batch: int) -> None:
    rows = [Share(index, of).rows(batch) for index in range(of)]
    assert [row for share in rows for row in share] == list(range(batch))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


@given(SHARES, SHARES, BATCHES)
def test_what_two_rows_have_in_common_is_the_whole_batch(
    senders: int, hearers: int, batch: int
) -> None:
    """Of every hearer's rows each comes from one sender, in order, over a route that was drawn."""
    for h in range(hearers):
        mine, heard = Share(h, hearers), list[int]()
        for s in range(senders):
            sender = Share(s, senders)
            part = range(batch)[sender.rows(batch).start : sender.rows(batch).stop]
            found = part[sender.common(mine, batch)]
            assert sender.meets(mine) or not found
            heard += found
        assert heard == list(mine.rows(batch))


@given(SHARES, SHARES)
def test_who_meets_has_rows_in_common_in_some_batch(a: int, b: int) -> None:
    batch = a * b
    for i in range(a):
        for j in range(b):
            common = Share(i, a).common(Share(j, b), batch)
            assert (common.stop > common.start) == Share(i, a).meets(Share(j, b))


@pytest.mark.parametrize("index", range(3))
def test_the_whole_meets_every_share(index: int) -> None:
    share = Share(index, 3)
    assert WHOLE.meets(share) and share.meets(WHOLE)
    assert WHOLE.common(share, 10) == slice(share.rows(10).start, share.rows(10).stop)
    assert share.common(WHOLE, 10) == slice(0, len(share.rows(10)))
    assert str(share) == f"{index + 1}/3"


def test_a_route_counts_what_travels_in_a_step_as_often_as_it_does() -> None:
    """A plan's bytes, and its table's, are sums of these."""
    plain = road(spec(3), spec(dtype="int64"), voting=(spec(99),), rows=6)
    assert [plain.bytes(batch) for batch in (0, 1, 6)] == [0, 20, 120]
    assert plain.bytes(9) == 120, "as many as fit: gradients are one row of any batch"
    assert replace(plain, times=3).bytes(6) == 360
    half, third = Share(0, 2), Share(1, 3)
    assert replace(plain, sends=half).bytes(12) == 120
    assert replace(plain, sends=half, hears=third).bytes(12) == 40  # rows 4 and 5
