"""What layer-parallel difference target propagation gains, beside what its parts' times predict.

    python benchmarks/dtp.py [--rounds 3] [--steps 2] [--json FILE] [-- MORE WORDS FOR train]

simple_vgg, batch 128, random images, float32, one thread per process; for example
`-- --iterations 2 3 4 6 2`. In every round, whole runs: all layers in one process (sequential), one
process per layer, three processes cut by measured time, one row of two replicas, and one process
per layer with feedback that lags; and every layer's parts, alone and on all cores at once. Medians
of the rounds are compared. Predictions schedule the parts on the cores at hand, which processes
share evenly, and on a core for each process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.targets import Layer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

Layers = Callable[[], "Iterator[Layer]"]
WARM = 1  # steps that are not counted
GRIDS = {
    "sequential": "--depth 1",
    "one process per layer": "--depth 6 --cuts single",
    "three processes": "--depth 3 --cuts time",
    "two replicas": "--depth 1 --replicas 2",
    "per layer, feedback lag 1": "--depth 6 --cuts single --feedback-lag 1",
}
PUBLISHED_RANKS = 6


# ── whole runs ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A run: seconds per step, which share of its time each module waited, and their layers."""

    step: float
    waited: list[float]
    blocks: list[list[str]]


def run(folder: Path, words: Sequence[str], steps: int) -> Measured:
    """Train for some steps."""
    command = [sys.executable, str(ROOT / "launch.py"), "train", "dtp", *words]
    command += ["--dataset", "synthetic", "--threads", "1", "--device", "cpu", "--eval-every", "0"]
    command += ["--epochs", str(WARM + steps), "--max-steps", str(WARM + steps), "--window", "1"]
    subprocess.run([*command, "--run-dir", str(folder)], check=True, stdout=sys.stderr)
    turns: list[list[tuple[float, float]]] = [
        json.loads(path.read_bytes())["recent"][WARM:]
        for path in sorted(folder.glob("modules/*/timing.json"))
    ]
    plan = json.loads((folder / "plan.json").read_bytes())
    return Measured(
        step=max(mean(seconds for seconds, _ in took) for took in turns),
        waited=[
            sum(waited for _, waited in took) / sum(seconds for seconds, _ in took)
            for took in turns
        ],
        blocks=[module["blocks"] for module in plan["modules"]],
    )


# ── parts ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Seconds of one layer's parts of a step: forward, feedback training, target, backward."""

    name: str
    forward: float
    feedback: float
    target: float
    backward: float

    @property
    def whole(self) -> float:
        return self.forward + self.feedback + self.target + self.backward


def parts_of(run_dir: Path, repetitions: int) -> list[Parts]:
    """Time the parts of every layer of a run with a process for each, here, in one thread."""
    import torch

    from partition.build import build
    from runtime.opening import recorded
    from workers.cost import noise, seconds_of
    from workers.targets import layers_of

    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    timed = partial(seconds_of, device=cpu, repetitions=repetitions)
    config, plan = recorded(run_dir)
    found: list[Parts] = []
    for address in plan.grid:
        module = build(plan, address, seed=0, device=cpu)
        config.method.prepared(module)
        optimizer = torch.optim.SGD(module.learned(), lr=1e-6, momentum=0.9)
        x = noise(plan, module.plan.reads, cpu)
        forward = partial(layers_of, module, x)

        def both(forward: Layers = forward, optimizer: torch.optim.Optimizer = optimizer) -> None:
            (layer,) = forward()
            layer.s.square().sum().backward()
            optimizer.step()

        rounds: dict[str, float] = defaultdict(float)
        for name, times, once in config.method.rounds(module, x):
            rounds[name] = times * timed(once)
        there = timed(lambda forward=forward: [*forward()])
        found.append(
            Parts(
                name=module.plan.blocks[0],
                forward=there,
                feedback=rounds["feedback"],
                target=rounds["target"],
                backward=max(0.0, timed(both) - there),
            )
        )
    return found


def parts_at_work(run_dir: Path, repetitions: int, copies: int) -> list[Parts]:
    """The same in so many processes at once; medians."""
    command = [sys.executable, __file__, "--parts", str(run_dir)]
    command += ["--repetitions", str(repetitions)]

    def once(_: int) -> list[Parts]:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [Parts(**part) for part in json.loads(done.stdout)]

    with ThreadPoolExecutor(copies) as pool:
        several = [*pool.map(once, range(copies))]
    return middle(several)


def middle(several: Sequence[Sequence[Parts]]) -> list[Parts]:
    """The medians of the same parts."""
    return [
        Parts(
            name=same[0].name,
            forward=median(part.forward for part in same),
            feedback=median(part.feedback for part in same),
            target=median(part.target for part in same),
            backward=median(part.backward for part in same),
        )
        for same in zip(*several, strict=True)
    ]


# ── prediction ───────────────────────────────────────────────────────────────────────────────

# What a process does, in order: seconds of its own, or a tensor that it waits for or sends.
Act = float | tuple[str, str]


def acts(rows: Sequence[Sequence[Parts]], steps: int, *, lag: bool) -> list[list[Act]]:
    """Every process's acts of some steps: one row of layers each (dtp §5.1, §5.3)."""
    scripts: list[list[Act]] = []
    for k, row in enumerate(rows):
        script: list[Act] = []
        training = sum(part.feedback for part in row)
        for step in range(steps):
            if k:
                script.append(("wait", f"up {k} {step}"))
            script.append(sum(part.forward for part in row))
            script.append(("send", f"up {k + 1} {step}"))
            if not lag:
                script.append(training)
            if k < len(rows) - 1:
                script.append(("wait", f"down {k} {step}"))
            script.append(sum(part.target for part in row))
            script.append(("send", f"down {k - 1} {step}"))
            script.append(sum(part.backward for part in row))
            if lag:
                script.append(training)
        scripts.append(script)
    return scripts


def scheduled(scripts: Sequence[Sequence[Act]], cores: int) -> float:
    """When the last process ends: those that can go on share the cores evenly."""
    todo = [list(reversed(script)) for script in scripts]
    sent: set[str] = set()
    now = 0.0
    while True:
        moved = True
        while moved:  # what takes no time
            moved = False
            for script in todo:
                while script and isinstance(script[-1], tuple):
                    verb, name = script[-1]
                    if verb == "wait" and name not in sent:
                        break
                    sent.add(name)
                    script.pop()
                    moved = True
        if not any(todo):
            return now
        able = [script for script in todo if script and isinstance(script[-1], float)]
        if not able:
            raise RuntimeError(f"nobody can go on: {todo}")
        rate = min(1.0, cores / len(able))
        least = min(float(script[-1]) for script in able)  # pyright: ignore
        now += least / rate
        for script in able:
            left = float(script.pop()) - least  # pyright: ignore
            if left > 1e-9:
                script.append(left)


def predicted(rows: Sequence[Sequence[Parts]], cores: int, *, lag: bool = False) -> float:
    """Seconds per step, once the pipeline is full."""
    few, many = 2, 6
    ends = [scheduled(acts(rows, steps, lag=lag), cores) for steps in (few, many)]
    return (ends[1] - ends[0]) / (many - few)


# ── bytes ────────────────────────────────────────────────────────────────────────────────────


def traffic(run_dir: Path) -> dict[str, float]:
    """MB per step: what all modules send, the most that one of them receives, and as published.

    Published: every rank gathers the feedback weights of all, padded to the largest (dtp §2).
    """
    from comm.address import Address
    from runtime.opening import recorded

    plan = recorded(run_dir)[1]
    heard: dict[Address, int] = defaultdict(int)
    for route in plan.routes:
        if route.learning:
            heard[route.target] += route.bytes(plan.batch)
    largest = 4 * max(max(module.mirrors) for module in plan.modules)
    each = PUBLISHED_RANKS * largest
    return {
        "sent by all": sum(heard.values()) / 1e6,
        "received by one": max(heard.values(), default=0) / 1e6,
        "published, received by one": each / 1e6,
        "published, by all": PUBLISHED_RANKS * each / 1e6,
    }


def main() -> None:
    """Run, measure, predict; print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--parts", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("more", nargs="*", help="more words for train")
    own = parser.parse_args()
    if own.parts:
        print(json.dumps([vars(part) for part in parts_of(own.parts, own.repetitions)]))
        return
    cores = len(os.sched_getaffinity(0))
    words = ["--network", "simple_vgg", "--batch", "128", *own.more]
    runs: dict[str, list[Measured]] = defaultdict(list)
    quiet: list[list[Parts]] = []
    loaded: list[list[Parts]] = []
    with tempfile.TemporaryDirectory() as name:
        for turn in range(own.rounds):
            folders = {grid: Path(name, f"{turn}.{index}") for index, grid in enumerate(GRIDS)}
            for grid, more in GRIDS.items():
                runs[grid].append(run(folders[grid], [*words, *more.split()], own.steps))
                print(f"round {turn}: {grid} {runs[grid][-1].step:.3f} s per step", flush=True)
            layered = folders["one process per layer"]
            quiet.append(parts_at_work(layered, own.repetitions, 1))
            loaded.append(parts_at_work(layered, own.repetitions, cores))
        megabytes = traffic(layered)
    alone, busy = middle(quiet), middle(loaded)

    print("\nseconds of a step's parts, alone, and with all cores at work")
    for part, same in zip(alone, busy, strict=True):
        print(
            f"    {part.name:8} forward {part.forward:6.3f}  feedback {part.feedback:6.3f} "
            f"{same.feedback:6.3f}  target {part.target:6.3f}  backward {part.backward:6.3f}"
        )
    trained = [part.feedback for part in alone]
    print(f"    feedback of all layers over the slowest layer's: {sum(trained) / max(trained):.2f}")

    one = median(measured.step for measured in runs["sequential"])
    parts = sum(part.whole for part in alone)
    print(f"\nsequential {one:.3f} s per step, its parts {parts:.3f} s; ratios to it:")
    print(f"    {'':26}s/step  measured  on {cores} cores  a core each  waiting, %")
    lines: dict[str, Any] = {}
    for grid, several in runs.items():
        step, blocks = median(measured.step for measured in several), several[0].blocks
        foreseen: list[float] = []
        if "replicas" not in grid:  # whose parts are of another size
            for known, available in ((busy, cores), (alone, len(blocks))):
                layer = {part.name: part for part in known}
                rows = [[layer[name] for name in names] for names in blocks]
                foreseen.append(parts / predicted(rows, available, lag="lag" in grid))
        waits = [median(shares) for shares in zip(*(m.waited for m in several), strict=True)]
        lines[grid] = {"step": step, "ratio": one / step, "foreseen": foreseen, "waiting": waits}
        on = "".join(f"{ratio:12.3f}" for ratio in foreseen) or f"{'–':>12}{'–':>12}"
        shares = " ".join(f"{100 * share:.0f}" for share in waits)
        print(f"    {grid:26}{step:6.3f}{one / step:10.3f}{on}   {shares}")
    print("\nMB per step, one process per layer")
    for what, size in megabytes.items():
        print(f"    {what:28}{size:8.1f}")
    if own.json:
        parts_found = {"alone": [*map(vars, alone)], "busy": [*map(vars, busy)]}
        text = json.dumps({"cores": cores, "grids": lines, "MB": megabytes, "parts": parts_found})
        own.json.write_text(text)


if __name__ == "__main__":
    main()
