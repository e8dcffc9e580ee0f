"""When a module writes a checkpoint, and which checkpoints stay.

    after every so many epochs of training    it was asked for (`--save-every`), and stays
    at the end of the schedule                stays
    where the run is stopped                  to go on from: only the newest few are kept
    by k0g0's clock (`--save-minutes`)        likewise

All modules save before the same turn. The schedule tells each of them the first two; STOP and SAVE,
which travel ahead with the features (see `comm.message.Flag`), tell them the others.
"""

from collections.abc import Sequence
from time import monotonic

import torch
from torch import nn

from comm.address import Address
from workers import checkpoint
from workers.job import Job
from workers.schedule import Turn
from workers.shelf import Shelf


class Saving:
    """The checkpoints of one module."""

    def __init__(
        self,
        job: Job,
        address: Address,
        module: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
    ) -> None:
        self.job, self.address = job, address
        self._module, self._optimizers = module, optimizers
        self._saved: int | None = None  # the turn of the last checkpoint
        self._at = monotonic()

    def restore(self) -> None:
        """Begin from the checkpoint of `job.restore`, if there is one to begin from."""
        if self.job.restore and self.job.checkpoints:
            checkpoint.restore(
                self.job.checkpoints,
                self._module,
                self._optimizers,
                address=self.address,
                turn=self.job.restore,
                plan=self.job.plan.digest,
            )

    def due_by_clock(self) -> bool:
        """Whether the last checkpoint is old. Only k0g0 asks, and tells the others."""
        minutes = self.job.save_minutes
        return bool(minutes) and monotonic() - self._at >= 60 * minutes

    def due_after(self, turn: Turn) -> bool:
        """Whether the schedule asks for a checkpoint after this turn."""
        every = self.job.save_every
        return bool(every) and turn.learns and turn.last and turn.epoch % every == 0

    def save(self, turn: int, step: int, *, stays: bool) -> None:
        """Write the checkpoint of `turn`, and let those go that it makes needless."""
        root, plan = self.job.checkpoints, self.job.plan
        if root is None or self.job.save_every is None or turn == self._saved:
            return
        checkpoint.store(
            root,
            self._module,
            self._optimizers,
            address=self.address,
            turn=turn,
            step=step,
            plan=plan.digest,
            stays=stays,
        )
        self._saved, self._at = turn, monotonic()
        Shelf(root=root, grid=plan.grid, plan=plan.digest).prune()
