"""The small grids of the tests with a real process for every rank, made slow at random."""

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from comm.frame import Era
from comm.rendezvous import Meeting, meet
from comm.transports.gloo import Gloo
from partition.plan import Plan
from tests.grids import OPTIM, Notebook, RandomFeed, job_of, states
from tests.processes import Child, results
from workers.drive import drive
from workers.grid import hire
from workers.methods.method import Method
from workers.optim import OptimConfig

HESITATION = 0.006  # seconds at most, before every batch


class HesitantFeed(RandomFeed):
    """Gives its labels late, each time by another while."""

    def __init__(self, steps_per_epoch: int, *, dtype: torch.dtype, seed: int) -> None:
        super().__init__(steps_per_epoch, dtype=dtype)
        self._random = random.Random(seed)

    def labels(self, step: int) -> Tensor:
        time.sleep(self._random.random() * HESITATION)
        return super().labels(step)


def be(
    rank: int, plan_json: bytes, method: Method, steps: int, folder: Path, optim: OptimConfig
) -> dict[str, Any]:
    """Be one rank of a grid: meet the others in `folder`, train; weights and notes by address."""
    plan = Plan.from_json(plan_json)
    era = Era(generation=0, digest=plan.digest)
    meeting = Meeting(
        run_id="test", rank=rank, processes=plan.grid.processes, era=era, folder=folder
    )
    job = job_of(plan, method, steps=steps, evaluate=True, optim=optim)
    feed = HesitantFeed(2, dtype=getattr(torch, plan.dtype), seed=rank)
    job = replace(job, feed=feed)  # type: ignore[arg-type]
    notebooks = {address: Notebook() for address in plan.grid.hosted(rank)}
    with ExitStack() as stack:
        stack.enter_context(meet(meeting))
        outside = stack.enter_context(Gloo(plan.grid, era, torch.device("cpu")))
        workers = hire(job, notebooks, outside)
        drive(workers)
    weights = states({worker.address: worker for worker in workers})
    return {
        str(address): (
            {name: tensor.numpy() for name, tensor in weights[str(address)].items()},
            notebook,
        )
        for address, notebook in notebooks.items()
    }


def train_apart(
    children: Sequence[Child],
    plan: Plan,
    method: Method,
    *,
    steps: int,
    folder: Path,
    optim: OptimConfig = OPTIM,
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Notebook]]:
    """Train with one process per rank; all weights and notes, by address."""
    for rank, child in enumerate(children):
        child.call(be, rank, plan.to_json(), method, steps, folder, optim)
    found = {address: kept for part in results(children) for address, kept in part.items()}
    weights = {
        address: {name: torch.from_numpy(array) for name, array in arrays.items()}
        for address, (arrays, _) in found.items()
    }
    return weights, {address: notebook for address, (_, notebook) in found.items()}
