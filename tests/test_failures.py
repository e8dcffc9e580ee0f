"""Whatever happens to one process ends the whole run soon, and one line names what it was."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.endless import ENDLESS, GRID, STALL, in_its_middle
from tests.runs import Run, launch, lines, until


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def running(run_dir: Path) -> Iterator[Run]:
    """A grid of four processes in the middle of its training."""
    with in_its_middle(run_dir) as run:
        yield run


@pytest.mark.parametrize("victim", ["k0g0", "k1g0"])
def test_a_killed_module_ends_the_run(running: Run, run_dir: Path, victim: str) -> None:
    began = time.monotonic()
    signal_to(running, run_dir, victim, signal.SIGKILL)
    ended = running.end(timeout=10)
    assert time.monotonic() - began < 5
    assert ended.code == 1
    first = ended.err.splitlines()[0]
    assert re.match(rf"{victim}\b.*: killed by SIGKILL", first), ended.err
    assert running.left_behind() == []


def test_a_frozen_module_ends_the_run(running: Run, run_dir: Path) -> None:
    began = time.monotonic()
    signal_to(running, run_dir, "k0g1", signal.SIGSTOP)
    ended = running.end(timeout=STALL + 10)
    assert STALL - 1 < time.monotonic() - began < STALL + 4  # benchmarks/kills.py measures
    assert ended.code == 1
    first = ended.err.splitlines()[0]
    assert first.startswith("k0g1 froze") and f"no sign of life for {STALL} s" in first
    assert re.search(r"; k0g0.* for it$", first), first
    assert running.left_behind() == []


def test_a_frozen_module_does_not_keep_ctrl_c_from_ending_the_run(
    running: Run, run_dir: Path
) -> None:
    signal_to(running, run_dir, "k0g0", signal.SIGSTOP)
    running.interrupt()
    time.sleep(0.5)
    running.interrupt()
    ended = running.end(timeout=5)
    assert ended.code == 130 and "Traceback" not in ended.err
    assert running.left_behind() == []


def test_nobody_is_blamed_while_the_launcher_itself_was_frozen(running: Run, run_dir: Path) -> None:
    """As by Ctrl-Z in its terminal, or a laptop that sleeps."""
    running.process.send_signal(signal.SIGSTOP)
    time.sleep(STALL + 1)
    before = lines(run_dir, "k1g1")
    running.process.send_signal(signal.SIGCONT)
    until(lambda: lines(run_dir, "k1g1") > before, timeout=10, why="another step")
    time.sleep(0.5)
    assert running.process.poll() is None
    running.interrupt()
    assert running.end().code == 130


def test_a_killed_launcher_takes_everything_with_it_and_the_next_one_sweeps(
    running: Run, run_dir: Path
) -> None:
    signal_to(running, run_dir, "k1g1", signal.SIGSTOP)  # frozen ones too
    running.process.send_signal(signal.SIGKILL)
    until(lambda: not running.alive(), timeout=1, why="all processes are gone")
    assert running.left_behind() != []  # nobody was left to remove the session's folder
    ended = launch(*GRID, "--max-steps", "1", "--run-dir", f"{run_dir}2", TMPDIR=str(running.tmp))
    assert ended.code == 0, ended.err
    assert running.left_behind() == []


def test_a_sweep_leaves_the_sessions_of_the_living_alone(running: Run, run_dir: Path) -> None:
    before = running.left_behind()
    ended = launch("train", "--network", "none", TMPDIR=str(running.tmp))
    assert ended.code == 2
    assert running.left_behind() == before
    running.interrupt()
    assert running.end().code == 130


@pytest.mark.parametrize("more", [(), ("--debug",)], ids=["processes", "lockstep"])
def test_a_loss_that_is_no_number_stops_the_run(run_dir: Path, more: tuple[str, ...]) -> None:
    ended = launch(*ENDLESS, *more, "--lr", "1e30", "--run-dir", run_dir)
    assert ended.code == 1
    first = ended.err.splitlines()[0]
    assert re.match(r"k0g[01] failed at step [1-9]: the loss is (nan|inf)", first), ended.err
    assert "--lr" in first and "Traceback" not in ended.err
    if not more:
        assert f"{run_dir}/modules" in ended.err


def signal_to(run: Run, run_dir: Path, address: str, number: signal.Signals) -> None:
    workers = run.workers(run_dir)
    assert sorted(workers) == ["k0g0", "k0g1", "k1g0", "k1g1"]
    os.kill(workers[address], number)
