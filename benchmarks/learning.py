"""What five methods learn from the same images in the same number of steps, on the same network.

    python benchmarks/learning.py --data-dir CIFAR10 --epochs 3

ResNet-32 in four modules (2x2 for the grouped one), the published cuts; same seed, batch and steps.
CIFAR-10 is read from class folders. Prints a table: test accuracies, speed, and payload per step.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partition.plan import Plan

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
METHODS = {
    "backprop": "backprop",
    "DGL": "dgl --depth 4 --cuts paper",
    "GN-DGL, maps + diversity": "gn-dgl --share maps --depth 2 --groups 2 --cuts paper",
    "InfoPro, contrast": "infopro --lambdas 6 0 1 2 --depth 4 --cuts paper",
    "ContSup R1E, softmax": "contsup --mode R1E --loss softmax --depth 4 --cuts paper",
}
COLUMNS = ("method", "grid", "row accuracies", "head", "ensemble", "images/s", "sent per step")


def trained(words: str, own: argparse.Namespace, run_dir: Path) -> dict[str, Any]:
    """Train one method; its summary and its plan."""
    from partition.plan import Plan

    command = [sys.executable, str(ROOT / "launch.py"), "train", *shlex.split(words)]
    command += ["--network", "resnet32", "--dataset", "folder", "--data-dir", str(own.data_dir)]
    command += ["--batch", "128", "--epochs", str(own.epochs), "--eval-every", str(own.epochs)]
    command += ["--run-dir", str(run_dir)]
    if own.max_steps:
        command += ["--max-steps", str(own.max_steps)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return {
        "summary": json.loads((run_dir / "summary.json").read_bytes()),
        "plan": Plan.from_json((run_dir / "plan.json").read_bytes()),
    }


def sent(plan: "Plan") -> float:
    """MiB that all modules together send in one training step of a full batch."""
    return sum(route.bytes(plan.batch) for route in plan.routes) / 2**20


def percent(value: float | None) -> str:
    """An accuracy, or a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"


def line(name: str, found: dict[str, Any]) -> str:
    """One row of the table; the speed is the slowest module's."""
    last, plan = found["summary"]["evaluations"][-1], found["plan"]
    modules = found["summary"]["modules"].values()
    speed = min(module["images"] / module["learning"] for module in modules)
    groups = plan.grid.groups
    readout = last["head"] if last["head"] is not None else last["rows"][-1]
    cells = (
        name,
        f"{len(groups)}×{groups[0]}",
        " ".join(percent(row) for row in last["rows"]),
        percent(readout),
        percent(last["ensemble"]),
        f"{speed:.0f}",
        f"{sent(plan):.1f} MiB",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Train all, print as they finish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--max-steps", type=int)
    own = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for index, (name, words) in enumerate(METHODS.items()):
            print(line(name, trained(words, own, Path(folder) / str(index))), flush=True)


if __name__ == "__main__":
    main()
