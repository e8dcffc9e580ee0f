"""Under torchrun: what is wrong is said once, any failure ends the run at once, stopped is stopped.

That it computes the same is in tests/test_determinism.py.
"""

import os
import re
import shlex
import shutil
import signal
import socket
from pathlib import Path

import pytest

from runtime.found import Found, verdict
from tests.here import SMALL, command
from tests.runs import ROOT, TORCHRUN, Run, lines, started, until

GRID = (
    *("train", "dgl", "--network", "mlp", "--widths", "32", "32", "--image-size", "8"),
    *("--batch", "240", "--depth", "2"),
)
ENDLESS = (*GRID, "--epochs", "20000", "--eval-every", "0")
LAUNCH = str(ROOT / "launch.py")


def ranks(run: Run) -> dict[int, int]:
    """The process of each rank."""
    found: dict[int, int] = {}
    for pid in run.alive():
        said = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        found |= {int(word[5:]): pid for word in said if word.startswith(b"RANK=")}
    return found


def found(code: int, said: str = "", *, host: str = "a", start: int = 0) -> Found:
    return Found(host=host, code=code, said=said, start=start, run_dir="runs/x")


FINE, BAD = found(0), found(2, "error: one\nerror: two\n")


@pytest.mark.parametrize(
    ("all_found", "code", "added"),
    [
        ([FINE, FINE], 0, ""),
        ([BAD, BAD, BAD], 2, ""),  # rank 0 has said it
        ([FINE, BAD], 2, "rank 1 on a: error: one\nrank 1 on a: error: two\n"),
        (
            [FINE, found(2, "error: one\n", host="b"), found(2, "error: one\n", host="c")],
            2,
            "ranks 1, 2 on b and c: error: one\n",
        ),
        ([found(2, "error: two\n"), FINE, BAD], 2, "rank 2 on a: error: one\n"),
        (
            [FINE, BAD, found(2, "error: one\nerror: three\n")],
            2,
            "rank 1 on a: error: one\nrank 1 on a: error: two\nrank 2 on a: error: three\n",
        ),
        ([found(1, "Trace\n"), found(2, "error: one\n")], 2, "rank 1 on a: error: one\n"),
        ([FINE, found(1)], 1, ""),
    ],
)
def test_rank_0_adds_what_it_has_not_said_itself(
    all_found: list[Found], code: int, added: str
) -> None:
    assert verdict(all_found) == (code, added)


def test_all_go_on_from_one_batch_or_from_none() -> None:
    both = [found(0, start=790), found(0, start=790)]
    assert verdict(both) == (0, "")
    code, said = verdict([*both, found(0, host="b")])
    assert code == 2
    assert "rank 2 on b would go on from batch 0, rank 0 on a from batch 790" in said
    assert "a disk that all hosts share, runs/x" in said


def test_everything_that_is_wrong_is_said_once(tmp_path: Path) -> None:
    """Whichever process is the first to end, upon which torchrun ends the others."""
    program = (*TORCHRUN, "--nproc-per-node", "2", LAUNCH)
    words = (*GRID, "--depth", "1", "--cuts", "time")
    with started(*words, program=program, cwd=tmp_path) as run:
        ended = run.end()
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    assert ended.code == 1 and re.search(r"exitcode +: 2 ", ended.err), ended.err
    said = [line for line in ended.err.splitlines() if "error: " in line]
    assert said == [
        "error: torchrun started 2 processes, the grid has 1: torchrun --nproc-per-node 1 "
        f"launch.py {shlex.join(words)}",
        "error: --cuts time: every process would measure for itself. Measure once with launch.py "
        "plan, and give the cut that it names",
    ]
    assert not (tmp_path / "runs").exists()


def test_a_word_that_is_unknown_is_answered_once(tmp_path: Path) -> None:
    program = (*TORCHRUN, "--nproc-per-node", "2", LAUNCH)
    with started(*GRID, "--dept", "3", program=program, cwd=tmp_path) as run:
        ended = run.end()
    assert re.search(r"exitcode +: 2 ", ended.err), ended.err
    assert ended.err.count("error: unknown option --dept: did you mean --depth") == 1


@pytest.fixture
def elsewhere(tmp_path: Path) -> str:
    """The command, on a host where rank 1 has no room for the prepared images.

    Its ranks write down when they begin to check, and when rank 0, which takes long, has checked.
    """
    program = tmp_path / "launch.py"
    program.write_text(f"""
import os, runpy, sys, time
sys.path.insert(0, {str(ROOT)!r})
from runtime import torchrun
check, rank = torchrun._checked, os.environ["RANK"]
if rank == "1":
    os.environ["LOCI_CACHE"] = "/proc/none"
def say(word):
    with open("order", "a") as file:
        file.write(f"{{rank}} {{word}}\\n")
def checked(*known):
    say("begins")
    if rank == "0":
        time.sleep(1)
        say("has checked")
    return check(*known)
torchrun._checked = checked
runpy.run_path({LAUNCH!r}, run_name="__main__")
""")
    return str(program)


def test_what_one_rank_alone_finds_ends_all_before_anything_is_written(
    tmp_path: Path, elsewhere: str
) -> None:
    program = (*TORCHRUN, "--nproc-per-node", "2", elsewhere)
    with started(*GRID, program=program, cwd=tmp_path) as run:
        ended = run.end()
    said = [line for line in ended.err.splitlines() if "error: " in line]
    assert len(said) == 1, ended.err
    start = f"rank 1 on {socket.gethostname()}: error: the prepared dataset cannot be kept"
    assert said[0].startswith(start)
    assert re.search(r"exitcode +: 2 ", ended.err), ended.err
    assert not (tmp_path / "runs").exists()
    order = (tmp_path / "order").read_text().splitlines()
    assert order == ["0 begins", "0 has checked", "1 begins"]


def test_ranks_that_find_other_checkpoints_do_not_go_on(tmp_path: Path) -> None:
    """As on two hosts, each with a disk of its own."""
    first, second = tmp_path / "0" / "run", tmp_path / "1" / "run"
    begun = command(*SMALL, "--debug", "--run-dir", first)
    assert begun.code == 0, begun.err
    for folder in (first / "checkpoints").iterdir():
        if folder.name != "turn-0000006":
            shutil.rmtree(folder)
    shutil.copytree(first, second)
    shutil.rmtree(second / "checkpoints")
    program = tmp_path / "launch.py"
    program.write_text(f"""
import os, runpy
os.chdir(os.environ["RANK"])
runpy.run_path({LAUNCH!r}, run_name="__main__")
""")
    words = (*TORCHRUN, "--nproc-per-node", "2", str(program))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("run/**/*")}
    with started("train", "--resume", "run", program=words, cwd=tmp_path) as run:
        ended = run.end()
    here = socket.gethostname()
    assert f"rank 1 on {here} would go on from batch 0, rank 0 on {here} from batch 6" in ended.err
    assert re.search(r"exitcode +: 2 ", ended.err), ended.err
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("run/**/*")}


def test_a_failure_that_is_not_ours_ends_all_at_once(tmp_path: Path) -> None:
    """Also where a peer waits for what never comes: rank 1 can not even be reached."""
    program = tmp_path / "launch.py"
    program.write_text(f"""
import os, runpy
if os.environ["RANK"] == "1":
    os.environ["GLOO_SOCKET_IFNAME"] = "nowhere"
runpy.run_path({LAUNCH!r}, run_name="__main__")
""")
    words = (*TORCHRUN, "--nproc-per-node", "2", str(program))
    with started(*ENDLESS, "--run-dir", tmp_path / "run", program=words, cwd=tmp_path) as run:
        ended = run.end()
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    assert ended.code == 1
    assert ended.err.count("\nRuntimeError: ") == 1 and "nowhere" in ended.err, ended.err
    assert re.search(r"exitcode +: 1 ", ended.err), ended.err


def test_a_failure_is_told_by_whom_it_befell_and_not_by_those_who_lost_it(tmp_path: Path) -> None:
    blocked = tmp_path / "run" / "modules" / "k1g0"
    blocked.parent.mkdir(parents=True)
    blocked.touch()  # where a folder has to be
    program = (*TORCHRUN, "--nproc-per-node", "2", LAUNCH)
    with started(*ENDLESS, "--run-dir", tmp_path / "run", program=program, cwd=tmp_path) as run:
        ended = run.end()
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    assert ended.code == 1
    told = [line for line in ended.err.splitlines() if re.match(r"k\dg0 failed", line)]
    assert len(told) == 1 and told[0].startswith("k1g0 failed at the start: "), ended.err


@pytest.mark.parametrize("whom", ["torchrun", "rank 0"])
def test_a_run_that_was_stopped_ends_as_such_as_far_as_torchrun_lets_it(
    tmp_path: Path, whom: str
) -> None:
    """Torchrun ends with 1 in any case; its report has the exit code, if it makes one."""
    root = tmp_path / "run"
    program = (*TORCHRUN, "--nproc-per-node", "2", LAUNCH)
    with started(*ENDLESS, "--run-dir", root, program=program, cwd=tmp_path) as run:
        until(lambda: lines(root, "k1g0") > 3, timeout=60, why="the first steps")
        os.kill(run.process.pid if whom == "torchrun" else ranks(run)[0], signal.SIGINT)
        ended = run.end()
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    assert ended.code == 1
    assert ended.out.count("stopped as asked; everything is in") == 1
    assert len([*root.glob("checkpoints/turn-*/*.json")]) == 2
    if whom == "torchrun":
        assert "SignalException" in ended.err and "exitcode" not in ended.err
    else:
        assert re.search(r"exitcode +: 130 ", ended.err), ended.err


def test_every_run_has_a_name_of_its_own_and_keeps_it_when_it_is_started_again(
    tmp_path: Path,
) -> None:
    """With a static rendezvous, whose runs all have the same id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = (
        *(*TORCHRUN[:-1], "--nnodes", "1", "--node-rank", "0", "--master-addr", "127.0.0.1"),
        *("--master-port", str(port), "--max-restarts", "1", "--nproc-per-node", "2", LAUNCH),
    )
    words = (*GRID, "--sleep", "0.2", "--epochs", "2", "--save-every", "1")
    with started(*words, program=program, cwd=tmp_path) as run:
        until(lambda: [*tmp_path.glob("runs/*/checkpoints/*/k*.json")], timeout=60, why="it saves")
        os.kill(ranks(run)[1], signal.SIGKILL)
        ended = run.end()
    assert ended.code == 0, ended.err
    (first,) = (tmp_path / "runs").iterdir()
    assert re.match(r"\d{8}-\d{6}-dgl-mlp-\d+$", first.name)
    assert len(re.findall(rf"^dgl mlp 2x1: runs/{first.name}", ended.out, re.MULTILINE)) == 2
    assert f"finished; everything is in runs/{first.name}" in ended.out
    with started(*GRID, "--max-steps", "1", program=program, cwd=tmp_path) as run:
        ended = run.end()
    assert ended.code == 0, ended.err
    assert len([*(tmp_path / "runs").iterdir()]) == 2
