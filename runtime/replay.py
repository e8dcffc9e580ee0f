"""Makes a run with --replay again from its log, in this process, and compares the weights."""

import dataclasses
from pathlib import Path

import msgspec
import torch
from rich.console import Console
from safetensors.torch import load

from comm.address import Address
from comm.errors import BadInput
from partition.plan import Plan
from runtime.devices import device_name, portion_of, settle
from runtime.job import job_of
from runtime.opening import moved, recorded
from runtime.run_dir import RunDir
from runtime.silence import Silence
from workers import checkpoint
from workers.drive import drive
from workers.grid import hire
from workers.worker import Worker

EXIT_DIFFERS = 1


class _Line(msgspec.Struct):
    read: int | None = None


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
    device = settle(portion_of(0, 1, threads), device_name(config.run.device, 0))
    logs = _logs(run_dir, plan)
    job = dataclasses.replace(
        job_of(config, plan, data, device, 0), save_every=None, reads=logs, sleep=()
    )
    found = checkpoint.complete_turns(run_dir.checkpoints, plan.grid, plan.digest)
    if not found or found[-1].turn != len(job.schedule):
        raise BadInput([f"{root}: the run did not reach its end, so there is nothing to compare"])
    workers = hire(job, dict.fromkeys(plan.grid, Silence()))
    drive(workers)
    last = checkpoint.folder(run_dir.checkpoints, found[-1].turn)
    other = [str(worker.address) for worker in workers if not _same(worker, last)]
    reads = sum(map(len, logs.values()))
    if other:
        console.print(f"{reads} reads repeated: {', '.join(other)} came out different")
        return EXIT_DIFFERS
    console.print(f"{reads} reads repeated: all weights came out the same, bit for bit")
    return 0


def _logs(run_dir: RunDir, plan: Plan) -> dict[Address, list[int]]:
    """What every row but the first read, step by step."""
    logs: dict[Address, list[int]] = {}
    for address in plan.grid:
        if address.k:
            lines = (run_dir.module(address) / "metrics.jsonl").read_bytes().splitlines()
            found = [msgspec.json.decode(line, type=_Line).read for line in lines]
            logs[address] = [turn for turn in found if turn is not None]
    return logs


def _same(worker: Worker, folder: Path) -> bool:
    stored = load((folder / f"{worker.address}.safetensors").read_bytes())
    return all(
        torch.equal(tensor.cpu(), stored[f"module.{name}"])
        for name, tensor in worker.module.state_dict().items()
    )
