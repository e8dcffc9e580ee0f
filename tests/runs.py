"""Real runs for the tests, watched from outside as the benchmarks watch theirs."""

import csv
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.runs import (
    LAUNCH,
    ROOT,
    Ended,
    Run,
    checkpoints,
    lines,
    marked,
    started,
    traces,
    until,
)

__all__ = [
    "LAUNCH",
    "ROOT",
    "TORCHRUN",
    "Ended",
    "Run",
    "checkpoints",
    "launch",
    "lines",
    "marked",
    "started",
    "traces",
    "until",
]

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone")


def launch(
    *words: str | Path,
    program: Sequence[str] = LAUNCH,
    cwd: Path | str = "/",
    timeout: float = 60,
    **environment: str,
) -> Ended:
    """Run a command to its end; it must leave neither processes nor temporary files behind."""
    with started(*words, program=program, cwd=cwd, **environment) as run:
        ended = run.end(timeout)
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
        assert run.left_behind() == []
    return ended


def evaluated(run_dir: Path) -> list[dict[str, str]]:
    """The lines of a run's history.csv, without what depends on time."""
    with (run_dir / "history.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    seconds = [float(line.pop("seconds")) for line in lines]
    times = [datetime.fromisoformat(line.pop("time")) for line in lines]
    assert seconds == sorted(seconds) and times == sorted(times), "time goes on"
    assert min(seconds) >= 0 and all(moment.tzinfo for moment in times)  # noted once a second
    return lines
