"""From the command to the first step: 16 and 32 processes, started from another folder.

    python benchmarks/start.py [--repetitions 3]

Two moments are taken: when all processes are connected, and when k0g0 has finished its first step.
The network is ResNet-32 at batch 8, so that the step itself is short. Private memory is what a
process shares with no other.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

LAUNCH = Path(__file__).resolve().parents[1] / "launch.py"
GRIDS = {16: ("4", "4"), 32: ("4", "8")}


def start(depth: str, groups: str) -> tuple[float, float, str]:
    """Seconds until all are connected, and until the first step is done; most private memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(LAUNCH), "train", "gn-dgl", "--depth", depth]
        command += ["--groups", groups, "--dataset", "synthetic", "--batch", "8"]
        command += ["--eval-batch", "8", "--max-steps", "1", "--eval-every", "0"]
        command += ["--run-dir", f"{folder}/run"]
        metrics = Path(folder, "run", "modules", "k0g0", "metrics.jsonl")
        began, first = perf_counter(), None
        process = subprocess.Popen(
            command, cwd="/", stdout=subprocess.PIPE, text=True, env=os.environ
        )
        while process.poll() is None:
            if first is None and metrics.exists() and metrics.stat().st_size:
                first = perf_counter() - began
            sleep(0.01)
        printed = process.stdout.read() if process.stdout else ""
        found = re.search(r"connected after ([\d.]+) s, at most (.*?) unshared", printed)
        if process.returncode or found is None or first is None:
            sys.exit(f"the run failed:\n{printed}")
        return float(found[1]), first, found[2]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repetitions", type=int, default=3)
    chosen = parser.parse_args()
    start("1", "1")  # prepares the data and warms the file cache
    print("processes   connected, s   first step, s   private memory")
    for processes, grid in GRIDS.items():
        runs = [start(*grid) for _ in range(chosen.repetitions)]
        connected, first = median(run[0] for run in runs), median(run[1] for run in runs)
        print(f"{processes:9}   {connected:12.2f}   {first:13.2f}   {runs[-1][2]}")


if __name__ == "__main__":
    main()
