"""A run directory is one run's: nobody goes on in it while that lives, or begins another there."""

import fcntl
from pathlib import Path

import pytest

from comm.errors import BadInput
from partition.config import GridConfig
from runtime import run_dir
from runtime.config import Config, RunConfig
from runtime.opening import checked, claim, settled
from tests.here import SMALL, command, resume
from workers.data.config import DataConfig


def test_nobody_goes_on_with_a_run_that_is_alive(tmp_path: Path) -> None:
    root = tmp_path / "run"
    begun = command(*SMALL, "--max-steps", "1", "--debug", "--run-dir", root)
    assert begun.code == 0, begun.err
    with (root / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
        for more in ((), ("--epochs", "3")):  # complete, and not
            answer = resume(root, *more)
            assert (answer.code, answer.out) == (2, "")
            assert answer.err == f"error: a run is alive in {root}: wait for its end\n"
        assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert resume(root).code == 0


def test_of_two_that_begin_at_once_in_one_directory_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "run"
    monkeypatch.setattr(run_dir, "_locks", [])
    config = settled(
        Config(
            grid=GridConfig(network="mlp", widths=(8, 8)),
            data=DataConfig(image_size=8),
            run=RunConfig(run_dir=root, threads=1),
        )
    )
    first, second = checked(config), checked(config)  # both find that it is free
    claim(first)
    with pytest.raises(BadInput, match=f"a run is alive in {root}: wait for its end"):
        claim(second)
    run_dir._locks.clear()  # the first one's process has ended
    written = (root / "config.json").stat().st_mtime_ns
    with pytest.raises(BadInput, match=f"{root} already holds a run: choose another --run-dir"):
        claim(second)
    assert (root / "config.json").stat().st_mtime_ns == written
