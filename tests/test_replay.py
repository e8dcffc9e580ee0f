"""Replay: a row with a slow predecessor goes on learning, and its log makes the run again."""

import time
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comm.errors import BadInput
from tests.grids import job_of, lockstep, planned, states
from tests.runs import launch, lines, started, until
from tests.test_exactness import worst
from workers.methods.contsup import ContSup
from workers.methods.dgl import DGL
from workers.methods.gn_dgl import GNDGL
from workers.replay import Buffer, Logged, Stored

WORDS = ("dgl", "--network", "resnet8", "--depth", "2", "--dataset", "synthetic", "--replay", "3")
SMALL = ("--image-size", "16", "--batch", "32", "--max-steps", "24", "--threads", "1")


def stored(turn: int) -> Stored:
    return Stored(turn=turn, step=turn, features=torch.zeros(1))


def reads_of(run_dir: Path, module: str) -> list[int]:
    lines = (run_dir / "modules" / module / "metrics.jsonl").read_bytes().splitlines()
    found = (msgspec.json.decode(line).get("read") for line in lines)
    return [turn for turn in found if turn is not None]


def test_of_the_least_read_batches_the_freshest_is_read() -> None:
    """The released code's ring forgets to shift the batch at its pointer, and reads the oldest."""
    buffer = Buffer(3)
    for turn in range(5):  # a full ring, twice round
        buffer.store(stored(turn))
    assert [buffer.read().turn for _ in range(7)] == [4, 3, 2, 4, 3, 2, 4]
    buffer.store(stored(5))  # makes room: 2 is forgotten
    assert [buffer.read().turn for _ in range(4)] == [5, 5, 5, 3]


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5))
def test_a_log_repeats_any_reads(arrivals: list[bool], size: int) -> None:
    """Whatever arrives when: following the log reads the same, and forgets what is not needed."""
    buffer, sent, log = Buffer(size), 0, []
    for arrived in arrivals:
        if buffer.wants(arrived):
            buffer.store(stored(sent))
            sent += 1
        log.append(buffer.read().turn)
    again, coming, repeated = Logged(log), iter(range(sent)), []
    for _ in log:
        while again.wants(arrived=True):
            again.store(stored(next(coming)))
        repeated.append(again.read().turn)
    assert repeated == log
    assert not again.batches


def test_in_one_process_a_row_waits_for_new_batches() -> None:
    exact, replayed = (
        lockstep(job_of(planned(DGL(), depth=3, groups=1, replay=size), DGL(), evaluate=True))[0]
        for size in (0, 4)
    )
    assert worst(states(exact), states(replayed)) == 0.0


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Row 0 sleeps, row 1 does not wait for it; it sleeps a little, to read more than one batch."""
    folder = tmp_path_factory.mktemp("replay") / "run"
    ended = launch("train", *WORDS, *SMALL, "--sleep", "0.2", "0.03", "--run-dir", folder)
    assert ended.code == 0, ended.err
    return folder


def test_batches_are_read_again_while_the_row_before_sleeps(run_dir: Path) -> None:
    reads = reads_of(run_dir, "k1g0")
    assert len(reads) == 24
    assert len(set(reads)) < 12
    assert not reads_of(run_dir, "k0g0")


def test_the_row_behind_is_not_slowed(run_dir: Path) -> None:
    """Row 0 sleeps most of the time; waiting for it, row 1 could not be faster. See benchmarks/."""
    modules = msgspec.json.decode((run_dir / "summary.json").read_bytes())["modules"]
    assert modules["k1g0"]["learning"] < modules["k0g0"]["learning"] / 2


@pytest.mark.parametrize("every", ["0", "1"])
def test_ctrl_c_leaves_a_checkpoint_to_evaluate(tmp_path: Path, every: str) -> None:
    """Also where the row behind has long made its last step, and only drains."""
    root = tmp_path / "run"
    words = (*WORDS, *SMALL[:4], "--epochs", "2", "--threads", "1", "--eval-every", every)
    with started("train", *words, "--sleep", "0.5", "0", "--run-dir", root) as run:
        until(lambda: lines(root, "k1g0") >= 12, timeout=60, why="row 1 is ahead")
        time.sleep(1)
        run.interrupt()
        ended = run.end()
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    assert ended.code == 130 and "stopped as asked" in ended.out
    assert launch("evaluate", root).code == 0


def test_the_log_makes_the_run_again(run_dir: Path) -> None:
    ended = launch("replay", run_dir)
    assert ended.code == 0, ended.err
    assert "24 reads repeated: all weights came out the same, bit for bit" in ended.out


def test_another_log_is_another_run(run_dir: Path) -> None:
    """Negative control: one read changed, and the weights are noticed to differ."""
    path = run_dir / "modules" / "k1g0" / "metrics.jsonl"
    kept = path.read_bytes()
    lines = kept.splitlines(keepends=True)
    later = (i for i, line in enumerate(lines) if b'"read":' in line and b'"read":0' not in line)
    first = next(later)
    lines[first] = lines[first].replace(b'"read":', b'"read":0,"was":')
    path.write_bytes(b"".join(lines))
    ended = launch("replay", run_dir)
    path.write_bytes(kept)
    assert ended.code == 1
    assert "k1g0 came out different" in ended.out


def test_what_replay_can_not_be_combined_with() -> None:
    with pytest.raises(BadInput, match="the groups of a row need the same one"):
        planned(GNDGL(), depth=2, groups=2, replay=3)
    with pytest.raises(BadInput, match="--depth 2 or more"):
        planned(DGL(), depth=1, groups=1, replay=3)
    with pytest.raises(BadInput, match="leave out --mode or --replay"):
        planned(ContSup(), depth=2, groups=1, replay=3)


def test_an_exact_run_needs_no_log(tmp_path: Path) -> None:
    ended = launch("train", *WORDS[:-2], *SMALL[:-4], "--max-steps", "2", "--run-dir", tmp_path)
    assert ended.code == 0, ended.err
    ended = launch("replay", tmp_path)
    assert ended.code == 2
    assert "without --replay has no log" in ended.err
