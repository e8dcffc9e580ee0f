"""A process is killed, or frozen: how soon does the run end, and is the right one named?

    python benchmarks/failures.py [--tries 20] [--seed 0]

A grid of 2 x 2 processes trains without an end. A random one of them is hit at a random moment of
its first seconds, its start included. Then: how long until the launcher ended, whether the first
line of its error names the one that was hit, and whether a process or a file was left behind. The
launcher itself is killed as often: how long until all of its processes were gone.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.runs import Run, started, until

STALL = 3.0
MOMENTS = 4.0  # seconds after all processes are there
GRID = (
    *("train", "gn-dgl", "--network", "mlp", "--widths", "32", "32", "32", "--image-size", "8"),
    *("--batch", "240", "--depth", "2", "--groups", "2", "--eval-every", "0", "--epochs", "20000"),
    *("--stall", f"{STALL:g}"),
)
HOSTED = {"k0g0": "k0g0", "k0g1": "k0g1", "k1g0": "k1g0 and k2g0", "k1g1": "k1g1"}
ALLOWED = {"kill": 5.0, "freeze": STALL + 1, "kill the launcher": 1.0}  # seconds
SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}


@dataclass(frozen=True, kw_only=True)
class Try:
    """One run that was hit."""

    seconds: float
    named: bool
    clean: bool
    line: str


def hit(run: Run, run_dir: Path, what: str, chance: random.Random) -> Try:
    """Wait for a random moment, hit, and see what happens."""
    until(lambda: len(run.workers(run_dir)) == len(HOSTED), timeout=60, why="all processes")
    workers = run.workers(run_dir)
    victim = chance.choice(sorted(workers))
    time.sleep(chance.uniform(0, MOMENTS))
    began = time.monotonic()
    if what == "kill the launcher":
        os.kill(workers[victim], signal.SIGSTOP)  # a frozen one must go as well
        run.process.kill()
        until(lambda: not run.alive(), timeout=60, why="all processes are gone")
        return Try(seconds=time.monotonic() - began, named=True, clean=True, line="")
    os.kill(workers[victim], SIGNALS[what])
    ended = run.end(timeout=STALL + 60)
    seconds = time.monotonic() - began
    line = ended.err.splitlines()[0] if ended.err else ""
    cause = "killed by SIGKILL" if what == "kill" else "froze"
    named = line.startswith(victim) and cause in line and ended.code == 1
    clean = not run.alive() and not run.left_behind()
    return Try(seconds=seconds, named=named, clean=clean, line=line)


def main() -> None:
    """Try, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)
    print("                    named     clean     in time   median, s   slowest, s   allowed, s")
    for what, allowed in ALLOWED.items():
        tries: list[Try] = []
        for _ in range(chosen.tries):
            with tempfile.TemporaryDirectory() as folder:
                run_dir = Path(folder) / "run"
                with started(*GRID, "--run-dir", run_dir) as run:
                    tries.append(hit(run, run_dir, what, chance))
            if not (tries[-1].named and tries[-1].clean):
                print(f"    {what}: {tries[-1]}", flush=True)
        times = [one.seconds for one in tries]
        counts = (
            sum(one.named for one in tries),
            sum(one.clean for one in tries),
            sum(seconds <= allowed for seconds in times),
        )
        shares = "".join(f"{f'{count} of {len(tries)}':10}" for count in counts)
        print(
            f"{what:20}{shares}{median(times):9.2f}   {max(times):10.2f}   {allowed:10.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
