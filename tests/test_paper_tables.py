"""GN-DGL's Tables 4 and 5: all 32 speed-ups, to the three decimals they were published with."""

import pytest

from partition.accounting import paper_speedups

# (depth, groups): (training, Table 4; inference, Table 5)
PUBLISHED = {
    (1, 2): (3.674, 1.961),
    (1, 4): (11.982, 3.777),
    (1, 8): (28.531, 7.030),
    (2, 1): (1.894, 1.000),
    (2, 2): (6.304, 1.899),
    (2, 4): (17.445, 3.448),
    (2, 8): (33.736, 5.824),
    (4, 1): (3.622, 1.000),
    (4, 2): (10.667, 1.785),
    (4, 4): (24.522, 2.936),
    (4, 8): (39.333, 4.336),
    (8, 1): (6.456, 1.000),
    (8, 2): (16.426, 1.612),
    (8, 4): (30.470, 2.324),
    (16, 1): (11.609, 1.000),
    (16, 2): (23.072, 1.338),
}


@pytest.mark.parametrize(("depth", "groups"), PUBLISHED)
def test_speedups_of_tables_4_and_5(depth: int, groups: int) -> None:
    speedups = paper_speedups(depth, groups)
    training, inference = PUBLISHED[depth, groups]
    assert round(speedups.training, 3) == training
    assert round(speedups.inference, 3) == inference
