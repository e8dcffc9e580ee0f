"""The small grids of the tests with a real process for every rank, made slow at random."""

import random
import time
from collections.abc import Callable, Sequence
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
from tests.grids import Notebook, states
from tests.processes import Child, results
from workers.drive import drive
from workers.grid import hire
from workers.job import Job

HESITATION = 0.006  # seconds at most, before every batch


class Hesitant:
    """A feed that gives its labels late, each time by another while."""

    def __init__(self, feed: Any, *, seed: int) -> None:
        self._feed, self._random = feed, random.Random(seed)

    def labels(self, step: int) -> Tensor:
        time.sleep(self._random.random() * HESITATION)
        return self._feed.labels(step)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feed, name)


def be(
    rank: int, plan_json: bytes, make_job: Callable[[Plan], Job], folder: Path
) -> dict[str, Any]:
    """Be one rank of a grid: meet the others in `folder`, train; weights and notes by address."""
    plan = Plan.from_json(plan_json)
    era = Era(generation=0, digest=plan.digest)
    meeting = Meeting(
        run_id="test", rank=rank, processes=plan.grid.processes, era=era, folder=folder
    )
    job = make_job(plan)
    job = replace(job, feed=Hesitant(job.feed, seed=rank))  # type: ignore[arg-type]
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
    children: Sequence[Child], plan: Plan, make_job: Callable[[Plan], Job], *, folder: Path
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Notebook]]:
    """Train with one process per rank; all weights and notes, by address."""
    for rank, child in enumerate(children):
        child.call(be, rank, plan.to_json(), make_job, folder)
    found = {address: kept for part in results(children) for address, kept in part.items()}
    weights = {
        address: {name: torch.from_numpy(array) for name, array in arrays.items()}
        for address, (arrays, _) in found.items()
    }
    return weights, {address: notebook for address, (_, notebook) in found.items()}
