"""Makes a run with --replay again from its log, in this process, and compares the weights."""

import dataclasses
import math
from pathlib import Path

import torch
from rich.console import Console

from comm.address import Address
from comm.errors import BadInput, Damaged
from partition.plan import Plan
from runtime.devices import at_hand, device_name, portion_of, settle
from runtime.job import job_of
from runtime.recorded import moved, recorded
from runtime.run_dir import RunDir
from runtime.silence import Silence
from workers import checkpoint
from workers.drive import drive
from workers.grid import hire
from workers.metrics import metrics
from workers.schedule import Schedule
from workers.worker import Worker

EXIT_DIFFERS = 1


def replay(root: Path, data_dir: Path | None, console: Console) -> int:
    """Read again what every row of the run in `root` read; 0 if the weights come out the same.

    Raises BadInput if there is no finished run with --replay.
    """
    run_dir = RunDir(root)
    config, plan = recorded(root)
    if not plan.replay:
        raise BadInput(
            [f"{root}: a run without --replay has no log to follow: the same command repeats it"]
        )
    config, data = moved(root, config, plan, data_dir)
    threads = portion_of(0, plan.grid.processes, config.run.threads).threads
    name = at_hand(config.run.device)
    if name != config.run.device:
        console.print(
            "the run was made on a GPU, and torch sees none here: made again on the CPU, where the "
            "last bits differ"
        )
    device = settle(portion_of(0, 1, threads), device_name(name, 0))
    job = job_of(config, plan, data, device, 0)
    found = run_dir.shelf(plan).complete()
    if not found or found[-1].turn != len(job.schedule):
        raise BadInput([f"{root}: the run did not reach its end, so there is nothing to compare"])
    logs = _logs(run_dir, plan, job.schedule)
    job = dataclasses.replace(job, save_every=None, reads=logs, sleep=())
    workers = hire(job, dict.fromkeys(plan.grid, Silence()))
    drive(workers)
    last = checkpoint.folder(run_dir.checkpoints, found[-1].turn)
    apart = {str(worker.address): _distance(worker, last) for worker in workers}
    other = [address for address, distance in apart.items() if distance]
    reads = sum(map(len, logs.values()))
    if other:
        console.print(
            f"{reads} reads repeated: {', '.join(other)} came out different, "
            f"by at most {max(apart.values()):.2g}"
        )
        return EXIT_DIFFERS
    console.print(f"{reads} reads repeated: all weights came out the same, bit for bit")
    return 0


def _logs(run_dir: RunDir, plan: Plan, schedule: Schedule) -> dict[Address, list[int]]:
    """What every row but the first read, step by step. Raises Damaged if something is missing."""
    steps = sum(turn.learns for turn in schedule.turns())
    logs: dict[Address, list[int]] = {}
    for address in plan.grid:
        if address.k:
            found = metrics(run_dir.metrics(address))
            if found.damage:
                raise found.damage
            reads = [line.read for line in found.lines if line.read is not None]
            if len(reads) != steps or not {*reads} <= {*range(len(schedule))}:
                raise Damaged(found.path, f"it does not hold what {steps} steps read")
            logs[address] = reads
    return logs


def _distance(worker: Worker, folder: Path) -> float:
    """How far a module's numbers are from the stored ones, at most; 0: every bit is the same."""
    stored = checkpoint.tensors_of(folder, worker.address)
    distance = 0.0
    for name, tensor in worker.module.state_dict().items():
        mine, theirs = tensor.cpu(), stored.get(f"module.{name}")
        if theirs is None or theirs.shape != mine.shape:
            raise Damaged(folder / f"{worker.address}.safetensors", f"it has no {name} of this run")
        if not torch.equal(mine, theirs):
            apart = (mine.double() - theirs.double()).abs().max().item()
            distance = max(distance, apart if apart > 0 else math.inf)
    return distance
