"""A run is killed, frozen, interrupted: does it end soon, name the cause, leave nothing, go on?

    python benchmarks/kills.py [--tries 100] [--seed 0] [--only NUMBER …] [--stall 3]

A grid of 2 x 2 processes trains an MLP on the digits. In every try one of its processes gets a
signal (`hits.py` has whom, which and when). Then: how it ended, how soon, whether the first line of
its error names the one that was hit, and whether a process or a file was left behind. A launcher
that was frozen is let go on after longer than --stall. Then the run is resumed, and its metrics and
weights are compared, byte for byte, with those of a twin that nothing has disturbed.

Prints a line for every try, a table, and how to repeat what was wrong (`verdicts.py`); exit code 1
if anything was.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.hits import EPOCHS, MODULES, STEPS, WORDS, Hit, hit_of, processes, strike
from benchmarks.runs import Ended, Run, checkpoints, lines, started, traces, until
from benchmarks.verdicts import BEYOND, Seen, wrong
from runtime.run_dir import RunDir

PATIENCE = 10.0  # seconds beyond what is allowed, after which a run is ended
EARLIER = 4  # so often a hit that came too late is tried again, sooner
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
            seen = replace(_ended(run, run_dir, at, stall), lost=lost)
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


def _ended(run: Run, run_dir: Path, at: float, stall: float) -> Seen:
    """Wait for the end, as long as it can still be waited for: work that goes on takes its time."""
    while run.process.poll() is None:
        since = max(at, time.monotonic() - (time.time() - _last_sign(run_dir)))
        if time.monotonic() - since > stall + BEYOND + PATIENCE:
            break
        time.sleep(0.02)
    code = run.process.poll()
    end = time.monotonic()
    since = max(at, end - (time.time() - _last_sign(run_dir))) if code == 0 else at
    with suppress(TimeoutError):
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    left = tuple(f"{_name(pid)}" for pid in run.alive()) if code is not None else ()
    for pid in run.alive():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    files = tuple(run.left_behind()) if code is not None else ()
    return Seen(code=code, err=run.end().err, seconds=end - since, processes=left, files=files)


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


def main() -> int:
    """Try, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="+", help="the numbers of some tries")
    parser.add_argument("--stall", type=float, default=3.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own = twin(Path(folder))
    print(f"an undisturbed run takes {own.starting:.1f} s until its first step", flush=True)
    ends: dict[tuple[str, str], list[Seen | None]] = defaultdict(list)
    faults: dict[int, list[str]] = {}
    for number in chosen.only or range(chosen.tries):
        hit = hit_of(chosen.seed, number)
        for _ in range(EARLIER):
            if seen := attempt(hit, own, chosen.stall):
                break
            hit = replace(hit, into=hit.into / 2)
        ends[hit.whom, hit.signal.name].append(seen)
        if seen is None:
            print(f"{number:4} {hit}: too late", flush=True)
            continue
        print(f"{number:4} {hit}: {seen.end} after {seen.seconds:.2f} s", flush=True)
        found = wrong(hit, seen, chosen.stall)
        if found:
            faults[number] = found
            print(f"     WRONG: {'; '.join(found)}", flush=True)
            print("".join(f"     | {line}\n" for line in seen.err.splitlines()[:6]), end="")
    print(f"\n{'':24}tries  median, s  slowest, s  ends")
    for (whom, name), several in sorted(ends.items()):
        times = [seen.seconds for seen in several if seen] or [0.0]
        words = Counter("too late" if seen is None else seen.end for seen in several)
        how = ", ".join(f"{word} {count}" for word, count in words.items())
        print(f"{whom:13}{name:11}{len(several):5}{median(times):11.2f}{max(times):12.2f}  {how}")
    for number, found in faults.items():
        print(f"\n{number} {hit_of(chosen.seed, number)}: {'; '.join(found)}")
    if faults:
        again = " ".join(map(str, faults))
        print(f"\nagain: python benchmarks/kills.py --seed {chosen.seed} --only {again}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
