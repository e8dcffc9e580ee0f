"""Real runs, watched from outside: the command line in processes of its own.

Every run gets a temporary folder of its own and a mark in its environment, which all of its
processes inherit: so one can tell, at any time, who and what of a run is still there. For the
benchmarks, and for the tests, which watch in the same way.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARK = "LOCI_MARK"
LAUNCH = (sys.executable, str(ROOT / "launch.py"))


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass(kw_only=True)
class Run:
    """A command that was started; `tmp` is its folder for temporary files."""

    process: subprocess.Popen[str]
    mark: str
    tmp: Path
    began: float

    def alive(self) -> list[int]:
        """All processes of this run, the launcher included."""
        return marked(self.mark)

    def left_behind(self) -> list[str]:
        """What is in its temporary folder, but for what all sessions share, and torch's."""
        found = (str(path.relative_to(self.tmp)) for path in self.tmp.rglob("*"))
        shared = f"loci-{os.getuid()}"
        kept = (shared, f"{shared}/sweep.lock")
        return sorted(p for p in found if p not in kept and not p.startswith("torchinductor_"))

    def end(self, timeout: float = 60) -> Ended:
        """Wait for the end."""
        out, err = self.process.communicate(timeout=timeout)
        seconds = time.monotonic() - self.began
        return Ended(code=self.process.returncode, out=out, err=err, seconds=seconds)

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal sends SIGINT to the launcher and to all in its group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def workers(self, run_dir: Path) -> dict[str, int]:
        """The worker processes by the first address each hosts: its log is their output."""
        found: dict[str, int] = {}
        for pid in self.alive():
            try:
                log = Path(os.readlink(f"/proc/{pid}/fd/1"))
            except OSError:
                continue
            if log.name == "log.txt" and log.is_relative_to(run_dir):
                found[log.parent.name] = pid
        return found


def marked(mark: str) -> list[int]:
    """Living processes that carry `mark`; zombies have no environment any more."""
    wanted = f"{MARK}={mark}".encode()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if wanted in environment.split(b"\0"):
                found.append(int(entry.name))
    return found


def until(what: Callable[[], object], *, timeout: float, why: str) -> None:
    """Wait for something to become true. Raises TimeoutError if it does not."""
    deadline = time.monotonic() + timeout
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {why}")
        time.sleep(0.005)


@contextmanager
def started(
    *words: str | Path, program: Sequence[str] = LAUNCH, cwd: Path | str = "/", **environment: str
) -> Iterator[Run]:
    """Start a command for the duration of the block; nothing of it survives the block.

    `cwd` is not the repository, as it would hide what depends on being started from there.
    """
    mark = uuid.uuid4().hex
    tmp = Path(tempfile.mkdtemp(prefix="lt"))  # short: the path of a socket in it has a limit
    began = time.monotonic()
    process = subprocess.Popen(
        [*program, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "140", MARK: mark, "TMPDIR": str(tmp), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Run(process=process, mark=mark, tmp=tmp, began=began)
    finally:
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        shutil.rmtree(tmp, ignore_errors=True)


def lines(run_dir: Path, address: str) -> int:
    """How many lines a module has written to its metrics."""
    path = run_dir / "modules" / address / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def checkpoints(run_dir: Path, modules: int) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    folders = sorted((run_dir / "checkpoints").glob("turn-*"))
    return [folder for folder in folders if len([*folder.glob("*.json")]) == modules]


def traces(run_dir: Path) -> dict[str, bytes]:
    """The bytes that must not depend on chance: every metrics file, every final weight."""
    last = max((run_dir / "checkpoints").glob("turn-*"))
    files = [*run_dir.glob("modules/*/metrics.jsonl"), *last.glob("*.safetensors")]
    return {str(path.relative_to(run_dir)): path.read_bytes() for path in sorted(files)}
