"""One try of `kills.py`: start a run, hit it, see how it ends, and resume it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from benchmarks.hits import EPOCHS, MODULES, STEPS, WORDS, Hit, processes, strike
from benchmarks.runs import Ended, Run, checkpoints, lines, started, traces, until
from benchmarks.verdicts import BEYOND, Seen
from runtime.run_dir import RunDir

PATIENCE = 10.0  # seconds beyond what is allowed, after which a run is ended
WHOLE = 120.0  # seconds in which an undisturbed run has to end


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A run that nothing disturbed.

    Its traces, the name of its last checkpoint, and the seconds it took until its first step.
    """

    traces: Mapping[str, bytes]
    last: str
    starting: float


def twin(root: Path) -> Twin:
    """Train without a disturbance; twice, as the first prepares the images."""
    for name in ("warm", "twin"):
        with started(*WORDS, "--run-dir", root / name) as run:
            until(lambda at=root / name: lines(at, "k0g0"), timeout=WHOLE, why="a step")
            starting = time.monotonic() - run.began
            ended = run.end(WHOLE)
        if ended.code:
            sys.exit(f"an undisturbed run fails:\n{ended.err}")
    *_, last = checkpoints(root / "twin", len(MODULES) + 1)
    return Twin(traces=traces(root / "twin"), last=last.name, starting=starting)


def attempt(hit: Hit, own: Twin, stall: float) -> Seen | None:
    """Start, hit, wait, resume; None if the victim was gone when its moment came."""
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        with started(*WORDS, "--stall", f"{stall:g}", "--run-dir", run_dir) as run:
            at = strike(hit, run, run_dir, own.starting)
            if at is None:
                return None
            lost: tuple[str, ...] = ()
            if hit.victim == "launcher" and hit.signal == signal.SIGSTOP:
                lost = _frozen(run, run_dir, stall)
                at = time.monotonic()
            seen = replace(_ended(hit, run, run_dir, at, stall), lost=lost)
            if hit.victim == "launcher" and hit.signal == signal.SIGKILL:
                seen = replace(seen, files=())  # nobody was left to remove them: the next one does
            began, last = RunDir(run_dir).config.exists(), checkpoints(run_dir, len(MODULES) + 1)
            resumed = _resumed(run, run_dir)
            return replace(
                seen,
                began=began,
                complete=bool(last) and last[-1].name == own.last,
                files=(*seen.files, *run.left_behind()),
                resumed=resumed.code,
                same=resumed.code == 0 and traces(run_dir) == own.traces,
            )


def _frozen(run: Run, run_dir: Path, stall: float) -> tuple[str, ...]:
    """Let a frozen launcher lie for longer than the patience; the modules that has cost."""
    before = {*processes(run, run_dir)} & {*MODULES}
    time.sleep(stall + 1)
    after = {*processes(run, run_dir)} & {*MODULES}
    over = lines(run_dir, "k0g0") >= EPOCHS * STEPS  # then they may go
    run.process.send_signal(signal.SIGCONT)
    return () if over else tuple(sorted(before - after))


def _ended(hit: Hit, run: Run, run_dir: Path, at: float, stall: float) -> Seen:
    """Wait for the end, as long as it can still be waited for: work that goes on takes its time.

    As it does with a frozen fork server, which is missed only when a module has ended.
    """
    while run.process.poll() is None:
        since = max(at, time.monotonic() - (time.time() - _last_sign(run_dir)))
        if time.monotonic() - since > stall + BEYOND + PATIENCE:
            break
        time.sleep(0.02)
    code = run.process.poll()
    end = time.monotonic()
    if code == 0 or hit.whom == "fork server":
        at = max(at, end - (time.time() - _last_sign(run_dir)))
    with suppress(TimeoutError):
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    left = tuple(f"{_name(pid)}" for pid in run.alive()) if code is not None else ()
    for pid in run.alive():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    files = tuple(run.left_behind()) if code is not None else ()
    return Seen(code=code, err=run.end().err, seconds=end - at, processes=left, files=files)


def _last_sign(run_dir: Path) -> float:
    """When a module has last written something; seconds of the clock."""
    found = [*run_dir.glob("modules/*/metrics.jsonl"), *run_dir.glob("checkpoints/*/*")]
    times = [0.0]
    for path in found:
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)


def _name(pid: int) -> str:
    with suppress(psutil.Error):
        words = " ".join(psutil.Process(pid).cmdline())
        for kind in ("resource_tracker", "forkserver"):
            if kind in words:
                return kind
        return words
    return str(pid)


def _resumed(run: Run, run_dir: Path) -> Ended:
    """Go on, with the same folder for temporary files, so that what is left there is swept."""
    with started("train", "--resume", run_dir, TMPDIR=str(run.tmp)) as again:
        try:
            return again.end(WHOLE)
        except subprocess.TimeoutExpired:
            return Ended(code=-1, out="", err="resuming hangs", seconds=WHOLE)
