"""What all modules of a run are told."""

from dataclasses import dataclass
from pathlib import Path

import torch

from partition.plan import Plan
from workers.data.feed import Feed
from workers.methods.method import Method
from workers.optim import OptimConfig
from workers.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all modules of a run share. `save_every` counts epochs (0: only at the end)."""

    plan: Plan
    method: Method
    optim: OptimConfig
    schedule: Schedule
    seed: int
    feed: Feed
    device: torch.device
    checkpoints: Path | None = None
    save_every: int = 0
    start: int = 0
