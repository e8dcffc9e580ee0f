"""Evaluation rides forward with the features: every row writes its vote on a ballot.

    ballot   (batch, predictors, classes)   softmax vectors; predictor m is row m, the last one the
                                            read-out head if there is one (spec §1.8)

A module leaves the predictors before its own as they came, and writes its own softmax vector into
its own. Who hears a row receives one ballot per group and takes their mean, so in the end predictor
m holds the mean over the groups of row m.
"""

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor


def merged(ballots: list[Tensor], rows: int, predictors: int, like: Tensor) -> Tensor:
    """The mean of the ballots that a row's groups sent; an empty one before the first row."""
    if not ballots:
        return like.new_zeros(rows, predictors, like.shape[1])
    return torch.stack(ballots).mean(dim=0)


def ensemble(ballot: Tensor) -> Tensor:
    """The layer-wise ensemble: predictor m of M weighs 2^m / (2^M - 1); (batch, classes)."""
    predictors = ballot.shape[1]
    weights = 2.0 ** torch.arange(predictors, dtype=ballot.dtype, device=ballot.device)
    return torch.einsum("bmc,m->bc", ballot, weights / (2**predictors - 1))


@dataclass(frozen=True, kw_only=True)
class Result:
    """One evaluation: accuracies in percent (top-1), the mean loss of the last predictor.

    `rows` has one entry per row of the trunk: the mean of its groups' softmax. `head` is the
    read-out head where there is one; `ensemble` all predictors, layer-wise.
    """

    epoch: int
    step: int
    split: str
    images: int
    rows: tuple[float, ...]
    head: float | None
    ensemble: float
    loss: float


@dataclass
class Tally:
    """Counts right answers over the batches of one evaluation."""

    readout: bool
    right: list[int] = field(default_factory=list[int])
    images: int = 0
    loss: float = 0.0

    def add(self, ballot: Tensor, labels: Tensor) -> None:
        """Count one batch: ballot (batch, predictors, classes), labels (batch,)."""
        answers = torch.cat([ballot, ensemble(ballot).unsqueeze(1)], dim=1).argmax(dim=2)
        right = cast(list[int], (answers == labels.unsqueeze(1)).sum(dim=0).tolist())
        self.right = [a + b for a, b in zip(self.right or [0] * len(right), right, strict=True)]
        chosen = ballot[:, -1].gather(1, labels.unsqueeze(1)).clamp_min(1e-30)
        self.loss -= chosen.log().sum().item()
        self.images += len(labels)

    def result(self, *, epoch: int, step: int, split: str) -> Result:
        """The evaluation, once all batches are counted."""
        percent = [100 * count / self.images for count in self.right]
        *predictors, together = percent
        head = predictors.pop() if self.readout else None
        return Result(
            epoch=epoch,
            step=step,
            split=split,
            images=self.images,
            rows=tuple(predictors),
            head=head,
            ensemble=together,
            loss=self.loss / self.images,
        )
