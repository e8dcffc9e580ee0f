"""Images per second of a grid against one process, measured in one run on this machine.

    python benchmarks/throughput.py [--repetitions 5] [--steps 16] [--json FILE]

ResNet-32, batch 128, synthetic images, float32, one thread per process. The baseline is plain
backprop, one process, in the faster of the two memory layouts; a bare PyTorch loop of a dozen lines
stands beside it. Repetitions are interleaved, medians are compared: ratios of one run, on one
machine, are what counts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

BATCH, WARM = 128, 4  # the first steps are not counted
NETWORK = ["--network", "resnet32", "--dataset", "synthetic", "--batch", str(BATCH)]


def python(script: str, *arguments: str) -> str:
    """Run a script of this folder in a fresh interpreter; its last line."""
    path = Path(__file__).with_name(script)
    done = subprocess.run(
        [sys.executable, str(path), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def run_loci(layout: str, steps: int, *words: str) -> dict[str, dict[str, float]]:
    """Seconds per step of every module of a real run: whole turns, and of these, waiting."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "launch.py"), "train", *words]
        command += NETWORK
        command += ["--max-steps", str(WARM + steps), "--eval-every", "0", "--threads", "1"]
        command += ["--lr", "0.1", "--schedule", "constant", "--memory-format", layout]
        command += ["--drop-last", "--device", "cpu", "--run-dir", f"{folder}/run"]
        subprocess.run(command, capture_output=True, check=True, env=os.environ)
        found: dict[str, dict[str, float]] = {}
        for path in sorted(Path(folder, "run", "modules").glob("*/timing.json")):
            recent: list[tuple[float, float]] = json.loads(path.read_text())["recent"][WARM:]
            found[path.parent.name] = {
                "step": sum(seconds for seconds, _ in recent) / len(recent),
                "waiting": sum(waited for _, waited in recent) / len(recent),
            }
        return found


def measured_cuts() -> list[str]:
    """The cut whose slower half is quickest by measured block times, and its two neighbours."""
    words = ["dgl", *NETWORK, "--depth", "2", "--cuts", "time", "--threads", "1", "--json"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "launch.py"), "plan", *words, "--device", "cpu"],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, *_ = (module["blocks"] for module in json.loads(done.stdout)["modules"])
    return [first[-1], first[-2], second[0]]


def slowest(modules: dict[str, dict[str, float]]) -> tuple[str, float, float]:
    """The module with the most work of its own: its name, that work, and its waiting; seconds."""
    name = max(modules, key=lambda m: modules[m]["step"] - modules[m]["waiting"])
    own = modules[name]["step"] - modules[name]["waiting"]
    return name, own, modules[name]["waiting"]


def pace(modules: dict[str, dict[str, float]]) -> float:
    """Seconds per batch of the whole grid."""
    return max(module["step"] for module in modules.values())


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    steps: int = chosen.steps

    candidates = measured_cuts()
    grid = ["dgl", "--depth", "2", "--cuts"]
    trials = {cut: pace(run_loci("channels_last", 6, *grid, cut)) for cut in candidates}
    cut = min(trials, key=trials.__getitem__)
    print("cuts tried, s/step:", ", ".join(f"{name} {time:.3f}" for name, time in trials.items()))

    times: dict[str, list[float]] = {}
    details: list[dict[str, Any]] = []
    for repetition in range(chosen.repetitions):
        row = {
            f"bare {layout}": float(python("bare.py", name, str(steps)))
            for layout, name in (
                ("contiguous", "contiguous_format"),
                ("channels_last", "channels_last"),
            )
        }
        for layout in ("contiguous", "channels_last"):
            row[f"backprop {layout}"] = pace(run_loci(layout, steps, "backprop"))
        modules = run_loci("channels_last", steps, *grid, cut)
        name, own, waiting = slowest(modules)
        row |= {"grid": pace(modules), "slowest own": own, "slowest waiting": waiting}
        details.append({"slowest": name, "modules": modules})
        for key, value in row.items():
            times.setdefault(key, []).append(value)
        print(f"repetition {repetition + 1}:", {key: round(value, 4) for key, value in row.items()})

    middle = {key: median(values) for key, values in times.items()}
    baseline = min(middle["backprop contiguous"], middle["backprop channels_last"])
    bare = min(middle["bare contiguous"], middle["bare channels_last"])
    result = {
        "cut": cut,
        "seconds per step": middle,
        "images per second": {
            key: BATCH / middle[key] for key in middle if not key.startswith("slowest")
        },
        "baseline over bare loop": baseline / bare,
        "grid over baseline": baseline / middle["grid"],
        "possible (baseline over slowest module's own time)": baseline / middle["slowest own"],
        "reached share of possible": middle["slowest own"] / middle["grid"],
        "slowest module waits": middle["slowest waiting"] / middle["grid"],
    }
    print(f"\nResNet-32, batch {BATCH}, depth 2 cut after {cut}, medians of {chosen.repetitions}")
    for key, value in result["images per second"].items():
        print(f"    {key:24} {value:8.1f} images/s   {1000 * middle[key]:7.1f} ms/step")
    for key in list(result)[3:]:
        print(f"    {key:52} {result[key]:.3f}")
    if chosen.json:
        chosen.json.write_text(json.dumps({**result, "repetitions": times, "runs": details}))


if __name__ == "__main__":
    main()
