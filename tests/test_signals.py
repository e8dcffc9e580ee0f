"""Who asks a run to end is heard, at any moment and by whatever process, and nothing is lost."""

import errno
import io
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pytest

from runtime.output import Lasting
from tests.endless import ENDLESS, GRID, MODULES, STALL, in_its_middle
from tests.runs import ROOT, Ended, Run, checkpoints, launch, lines, started, until


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def running(run_dir: Path) -> Iterator[Run]:
    """A grid of four processes in the middle of its training."""
    with in_its_middle(run_dir) as run:
        yield run


def server_of(run: Run) -> psutil.Process:
    """The fork server of a run that is starting."""
    found: list[psutil.Process] = []

    def there() -> bool:
        try:
            children = psutil.Process(run.process.pid).children()
            found[:] = [
                p for p in children if "multiprocessing.forkserver" in " ".join(p.cmdline())
            ]
        except psutil.NoSuchProcess:
            return False
        return bool(found)

    until(there, timeout=30, why="the fork server")
    return found[0]


def stopped(ended: Ended, run_dir: Path) -> None:
    """Ended as if by Ctrl-C: where one can go on."""
    assert ended.code == 130, ended.err
    assert "Traceback" not in ended.err
    assert "stopped" in msgspec.json.decode((run_dir / "summary.json").read_bytes())["ended"]
    assert len(checkpoints(run_dir, MODULES)) == 1


# ── in the middle of a run ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("victim", ["k0g0", "k1g1"])
def test_a_module_that_is_asked_to_end_stops_the_run(
    running: Run, run_dir: Path, victim: str
) -> None:
    os.kill(running.workers(run_dir)[victim], signal.SIGTERM)
    ended = running.end(timeout=20)
    stopped(ended, run_dir)
    assert f"process of {victim}" in ended.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_whoever_ends_the_whole_session_may_say_so_twice(
    running: Run, run_dir: Path, number: signal.Signals
) -> None:
    """As systemd and batch systems do, to all processes at once."""
    for pid in [running.process.pid, *running.alive()]:
        os.kill(pid, number)
    stopped(running.end(timeout=20), run_dir)


def test_a_terminal_that_closes_stops_the_run(run_dir: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = (sys.executable, str(ROOT / "launch.py"), *ENDLESS, "--run-dir", str(run_dir))
    process = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        os.set_blocking(ours, False)

        def begun() -> bool:
            with suppress(BlockingIOError):
                os.read(ours, 1 << 16)  # a terminal that nobody reads would block the run
            return lines(run_dir, "k1g1") > 3

        until(begun, timeout=60, why="the first steps")
        os.close(ours)
        assert process.wait(timeout=20) == 130
    finally:
        process.kill()
        process.wait()
    assert "stopped" in msgspec.json.decode((run_dir / "summary.json").read_bytes())["ended"]
    assert len(checkpoints(run_dir, MODULES)) == 1


# Takes the terminal that it finds as its own, then becomes the command.
IN_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); " + (
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def test_a_pipe_that_nobody_reads_any_more_stops_the_run(running: Run, run_dir: Path) -> None:
    assert running.process.stdout is not None
    running.process.stdout.close()
    running.process.stdout = None
    stopped(running.end(timeout=20), run_dir)


def test_a_complete_run_is_complete_whatever_it_hears_last(run_dir: Path) -> None:
    for attempt in range(3):
        root = run_dir / str(attempt)
        with started(*GRID, "--epochs", "2", "--run-dir", root) as run:
            until(lambda root=root: checkpoints(root, MODULES), timeout=60, why="the last weights")
            run.interrupt()
            ended = run.end(timeout=20)
        assert ended.code == 0, ended.err
        assert msgspec.json.decode((root / "summary.json").read_bytes())["ended"] == "finished"


# ── while it starts ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("number", "after"),
    [
        *((signal.SIGTERM, 0.2), (signal.SIGTERM, 1.3)),
        *((signal.SIGHUP, 0.7), (signal.SIGHUP, 2.0)),
    ],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_a_signal_while_the_run_starts_ends_it_and_leaves_nothing(
    run_dir: Path, number: signal.Signals, after: float
) -> None:
    with started(*ENDLESS, "--run-dir", run_dir) as run:
        time.sleep(after)
        run.process.send_signal(number)
        ended = run.end(timeout=20)
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
        assert run.left_behind() == []
    assert ended.code in (130, -number)  # before Python itself was there to hear it
    assert after < 0.5 or ended.code == 130
    assert "Traceback" not in ended.err


def test_no_signal_is_lost_while_the_fork_server_starts() -> None:
    """One that comes between blocking and starting is heard as soon as all are unblocked."""
    found = subprocess.run(
        [sys.executable, "-c", COUNTING], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert found.stdout.split() == ["2"] * 3, found.stderr


COUNTING = """
import os, signal
from multiprocessing import util
from runtime.fork_server import end_servers, warm_up
heard = {number: 0 for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
def hear(number, frame):
    heard[number] += 1
for number in heard:
    signal.signal(number, hear)
start = util.spawnv_passfds
def spawn(*words):  # of the resource tracker, and of the fork server
    for number in heard:
        os.kill(os.getpid(), number)
    return start(*words)
util.spawnv_passfds = spawn
warm_up()
end_servers()
print(*heard.values())
"""


# ── the processes around the modules ─────────────────────────────────────────────────────────


def test_a_frozen_fork_server_is_named_and_hangs_nothing(run_dir: Path) -> None:
    with started(*ENDLESS, "--stall", str(STALL), "--run-dir", run_dir) as run:
        server_of(run).suspend()
        ended = run.end(timeout=30)
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
        assert run.left_behind() == []
    assert ended.code == 1
    assert ended.err.splitlines()[0].startswith("the fork server froze"), ended.err


def test_a_frozen_fork_server_does_not_keep_anybody_from_ending_the_run(run_dir: Path) -> None:
    with started(*ENDLESS, "--run-dir", run_dir) as run:
        server_of(run).suspend()
        time.sleep(4)  # the launcher waits for it by now
        run.process.send_signal(signal.SIGTERM)
        ended = run.end(timeout=10)
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
        assert run.left_behind() == []
    assert ended.code == 130, ended.err


def test_a_killed_fork_server_is_named(running: Run) -> None:
    server_of(running).kill()
    ended = running.end(timeout=10)
    assert ended.code == 1
    first = ended.err.splitlines()[0]
    assert first.startswith("the fork server") and "killed by SIGKILL" in first


def test_a_fork_server_that_is_killed_while_it_starts_modules_is_named(run_dir: Path) -> None:
    """It is not started anew: the modules that it had started are gone with it."""
    with started(*ENDLESS, "--run-dir", run_dir) as run:
        server = server_of(run)
        until(lambda: run.workers(run_dir), timeout=60, why="the first module's process")
        server.kill()
        ended = run.end(timeout=20)
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
        assert run.left_behind() == []
    assert ended.code == 1
    assert ended.err.startswith("the fork server"), ended.err


def test_output_that_finds_no_room_is_told_in_a_line(run_dir: Path, tmp_path: Path) -> None:
    words = (sys.executable, str(ROOT / "launch.py"), *ENDLESS, "--run-dir", str(run_dir))
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            words,
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(tmp_path)},
            text=True,
            timeout=60,
        )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "could not be written" in line and "No space left" in line


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_output_that_can_not_be_written_any_more_goes_nowhere(number: int, tmp_path: Path) -> None:
    class Failing(io.TextIOWrapper):
        failing = False

        def flush(self) -> None:
            if self.failing:
                self.failing = False
                raise OSError(number, os.strerror(number))
            super().flush()

    with (tmp_path / "out").open("wb", buffering=0) as file:
        stream = Failing(file, write_through=True)
        output = Lasting(stream)
        output.write("before")
        stream.failing = True
        assert not output.lost
        output.flush()
        assert output.lost
        output.write("after")
        assert (tmp_path / "out").read_text() == "before"


def test_a_fork_server_that_froze_before_the_end_is_named(run_dir: Path) -> None:
    few = (*GRID, "--epochs", "30", "--stall", str(STALL), "--run-dir", run_dir)
    with started(*few) as run:
        until(lambda: lines(run_dir, "k1g1") > 3, timeout=60, why="the first steps")
        server_of(run).suspend()
        ended = run.end(timeout=60)
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    assert ended.code == 1
    assert "the fork server froze" in ended.err.splitlines()[0]
    assert "complete" in launch("train", "--resume", run_dir).out


@pytest.mark.parametrize("which", ["the run directory", "the session folder"])
def test_a_folder_that_goes_away_under_a_run_is_told_at_once(
    running: Run, run_dir: Path, which: str
) -> None:
    if which == "the run directory":
        path = run_dir
    else:
        (path,) = (p for p in running.tmp.glob("loci-*/*") if p.is_dir())
    began = time.monotonic()
    path.rename(path.with_name("elsewhere"))
    ended = running.end(timeout=10)
    assert time.monotonic() - began < STALL
    assert ended.code == 1
    assert f"{which} {path} was moved or removed" in ended.err, ended.err
    path.with_name("elsewhere").rename(path)
    if which == "the session folder":
        for left in sorted(path.rglob("*"), reverse=True):
            left.unlink() if not left.is_dir() else left.rmdir()
        path.rmdir()


def test_a_process_that_is_stuck_after_its_last_turn_is_found(run_dir: Path) -> None:
    with started(*GRID, "--epochs", "30", "--stall", "2", "--run-dir", run_dir) as run:
        until(lambda: lines(run_dir, "k0g1") > 3, timeout=60, why="the first steps")
        # whoever writes to it waits for a reader
        os.mkfifo(run_dir / "modules" / "k0g1" / "timing.json.part")
        ended = run.end(timeout=60)
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    assert ended.code == 1
    assert ended.err.startswith("k0g1 has been writing down its times"), ended.err
