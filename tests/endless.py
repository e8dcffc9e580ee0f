"""A small grid of processes that trains until somebody ends it: for tests of how runs end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runs import Run, lines, started, until

GRID = (
    *("train", "gn-dgl", "--network", "mlp", "--widths", "32", "32", "32", "--image-size", "8"),
    *("--batch", "240", "--depth", "2", "--groups", "2", "--eval-every", "0"),
)
ENDLESS = (*GRID, "--epochs", "20000")
MODULES = 5  # 2 x 2 and the read-out head
STALL = 3


@contextmanager
def in_its_middle(run_dir: Path) -> Iterator[Run]:
    """Four processes in the middle of their training; the block sees to their end.

    They leave nothing behind.
    """
    with started(*ENDLESS, "--stall", str(STALL), "--run-dir", run_dir) as run:
        until(lambda: lines(run_dir, "k1g1") > 3, timeout=60, why="the first steps")
        yield run
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
        assert run.left_behind() == []
