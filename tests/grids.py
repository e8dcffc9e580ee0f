"""Small grids for the tests: a synthetic feed without files, and a run in memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from comm.address import Address
from partition.config import GridConfig
from partition.data_spec import DataSpec
from partition.plan import Plan
from partition.planner import plan
from partition.request import Request
from workers import worker
from workers.ballot import Result, Tally
from workers.drive import Pick, drive, earliest
from workers.grid import hire
from workers.job import Job
from workers.methods.method import Method
from workers.optim import OptimConfig
from workers.schedule import Schedule, training
from workers.shelf import Shelf
from workers.worker import Worker

IMAGE, CLASSES, BATCH, EVAL = (3, 16, 16), 5, 6, 4


class RandomFeed:
    """Random images, the same for the same step: stands where `Feed` stands."""

    def __init__(self, steps_per_epoch: int, *, dtype: torch.dtype = torch.float64) -> None:
        self.steps_per_epoch = steps_per_epoch
        self.dtype = dtype

    def rows(self, step: int) -> int:
        last = step % self.steps_per_epoch == self.steps_per_epoch - 1
        return BATCH - 2 if last and self.steps_per_epoch > 1 else BATCH

    def images(self, step: int) -> Tensor:
        return self._draw(step, self.rows(step))[0]

    def labels(self, step: int) -> Tensor:
        return self._draw(step, self.rows(step))[1]

    def denormalised(self, images: Tensor) -> Tensor:
        return images.sigmoid()

    def eval_images(self, split: str, index: int) -> Tensor:
        return self._draw(1000 + index, EVAL - index)[0]

    def eval_labels(self, split: str, index: int) -> Tensor:
        return self._draw(1000 + index, EVAL - index)[1]

    def _draw(self, seed: int, rows: int) -> tuple[Tensor, Tensor]:
        source = torch.Generator().manual_seed(seed)
        images = torch.randn(rows, *IMAGE, generator=source, dtype=torch.float64)
        labels = torch.randint(CLASSES, (rows,), generator=source)
        return images.to(self.dtype), labels


@dataclass
class Notebook:
    """A recorder that keeps everything."""

    lessons: list[dict[str, float]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def lesson(self, *, turn: int, step: int, epoch: int, values: Mapping[str, float]) -> None:
        self.lessons.append(dict(values))

    def result(self, turn: int, result: Result) -> None:
        self.results.append(result)


OPTIM = OptimConfig(epochs=2, lr=0.1, weight_decay=1e-4, momentum=0.9, warmup=0)


def planned(
    method: Method,
    *,
    depth: int,
    groups: int | tuple[int, ...],
    network: str = "resnet8",
    window: int = 2,
    dtype: str = "float64",
    channels_last: bool = False,
    cuts: tuple[str, ...] = ("even",),
    widths: tuple[int, ...] | None = None,
    dropout: float = 0.0,
    slope: float = 0.0,
    replay: int = 0,
    replicas: tuple[int, ...] = (1,),
) -> Plan:
    """A plan for 16x16 images of five classes."""
    return plan(
        Request(
            method=type(method).__name__,
            wiring=method.wiring(),
            config=GridConfig(
                network=network,
                widths=widths,
                dropout=dropout,
                slope=slope,
                replay=replay,
                replicas=replicas,
                depth=depth,
                groups=(groups,) if isinstance(groups, int) else groups,
                cuts=cuts,
                window=window,
            ),
            data=DataSpec(
                name="random", shape=IMAGE, classes=CLASSES, train=22, test=7, digest="00"
            ),
            batch=BATCH,
            eval_batch=EVAL,
            dtype=dtype,
            channels_last=channels_last,
        )
    )


def job_of(
    plan: Plan,
    method: Method,
    *,
    steps: int = 4,
    evaluate: bool = False,
    optim: OptimConfig = OPTIM,
    **more: object,
) -> Job:
    """Train for `steps` steps in epochs of two, the second batch of each smaller."""
    schedule: Schedule = training(
        epochs=-(-steps // 2),
        steps_per_epoch=2,
        max_steps=steps,
        eval_every=1 if evaluate else 0,
        eval_turns={"test": 2},
    )
    return Job(
        plan=plan,
        method=method,
        optim=optim,
        schedule=schedule,
        seed=7,
        feed=RandomFeed(2, dtype=getattr(torch, plan.dtype)),  # type: ignore[arg-type]
        device=torch.device("cpu"),
        **more,  # type: ignore[arg-type]
    )


def shelf_of(root: Path, plan: Plan) -> Shelf:
    """The checkpoints of a plan below `root`."""
    return Shelf(root=root, grid=plan.grid, plan=plan.digest)


def lockstep(
    job: Job, pick: Pick = earliest
) -> tuple[dict[Address, Worker], dict[Address, Notebook]]:
    """Run the whole grid in this process; its workers and what they recorded."""
    notebooks = {address: Notebook() for address in job.plan.grid}
    workers = hire(job, notebooks)
    drive(workers, pick)
    return {worker.address: worker for worker in workers}, notebooks


@contextmanager
def ballots_kept() -> Iterator[list[Tensor]]:
    """The ballots that are counted within the block: (batch, predictors, classes) each."""
    kept: list[Tensor] = []

    class Keeping(Tally):
        def add(self, ballot: Tensor, labels: Tensor, member: Tensor) -> None:
            kept.append(ballot.clone())
            super().add(ballot, labels, member)

    worker.Tally = Keeping  # type: ignore[misc]
    try:
        yield kept
    finally:
        worker.Tally = Tally  # type: ignore[misc]


def states(workers: Mapping[Address, Worker]) -> dict[str, dict[str, Tensor]]:
    """Copies of the weights and batch-norm statistics of every module."""
    return {
        str(address): {k: v.clone() for k, v in worker.module.state_dict().items()}
        for address, worker in workers.items()
    }
