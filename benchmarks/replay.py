"""A row whose predecessor sleeps: how fast it goes on with replay, against its own speed.

    python benchmarks/replay.py

ResNet-20 at depth 2, cut so that row 1 has more to do. Three runs: row 1 at its own speed; row 0
slowed by sleeping; the same with --replay. The speed is row 1's updates per second of training;
then the log of the last run makes it again, and the weights are compared.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

LAUNCH = [sys.executable, str(Path(__file__).resolve().parent.parent / "launch.py")]
WORDS = "dgl --network resnet20 --depth 2 --cuts s1b0 --dataset synthetic --batch 64 --threads 1"


def updates_per_second(run_dir: Path, steps: int, *more: str) -> float:
    """Train; row 1's updates per second."""
    command = [*LAUNCH, "train", *WORDS.split(), "--eval-every", "0"]
    command += ["--epochs", str(steps), "--max-steps", str(steps)]
    subprocess.run([*command, *more, "--run-dir", str(run_dir)], check=True, stdout=sys.stderr)
    modules = json.loads((run_dir / "summary.json").read_bytes())["modules"]
    return steps / modules["k1g0"]["learning"]


def main() -> None:
    """Run all three, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--sleep", default="0.5", help="seconds that row 0 sleeps in every step")
    own = parser.parse_args()
    slow = ("--sleep", own.sleep, "0")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        alone = updates_per_second(root / "alone", own.steps)
        waiting = updates_per_second(root / "waiting", own.steps, *slow)
        going = updates_per_second(root / "replay", own.steps, *slow, "--replay", "10")
        print(f"row 1 at its own speed       {alone:6.2f} updates/s")
        print(
            f"row 0 sleeps {own.sleep} s per step  {waiting:6.2f} updates/s, {waiting / alone:.0%}"
        )
        print(
            f"the same with --replay 10    {going:6.2f} updates/s, {going / alone:.0%}", flush=True
        )
        subprocess.run([*LAUNCH, "replay", str(root / "replay")], check=True)


if __name__ == "__main__":
    main()
