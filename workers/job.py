"""What all modules of a run are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from comm.address import Address
from partition.plan import Plan
from workers.data.feed import Feed
from workers.methods.method import Method
from workers.optim import OptimConfig
from workers.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all modules of a run share.

    `start` is the first turn to take, `restore` the turn whose checkpoint to begin from.
    `save_every` counts epochs (0: only at the end; None: never save at all), `save_minutes` minutes
    since the last checkpoint (0: never by the clock). `sleep` has the seconds that each row sleeps
    in a step. `reads` are the logs of a run with replay that is to be made again.
    """

    plan: Plan
    method: Method
    optim: OptimConfig
    schedule: Schedule
    seed: int
    feed: Feed
    device: torch.device
    checkpoints: Path | None = None
    save_every: int | None = 0
    save_minutes: float = 0.0
    start: int = 0
    restore: int = 0
    sleep: tuple[float, ...] = ()
    reads: Mapping[Address, Sequence[int]] | None = None
