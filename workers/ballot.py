"""Evaluation rides forward with the features: every row writes its vote on a ballot.

    ballot   (batch, predictors, classes)   softmax vectors; a predictor is a row whose heads write
                                            class logits, the last one the read-out head if there
                                            is one (spec §1.8)

A module leaves the predictors before its own as they came, and writes its own softmax vector into
its own. A module of the next row receives one ballot per group and takes their mean, so in the end
predictor m holds the mean over the groups of row m.
"""

from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor

Reported = Literal["network", "ensemble", "member"]  # whose accuracy a paper reports


def merged(ballots: list[Tensor]) -> Tensor:
    """The mean of the ballots that a row's groups sent."""
    return torch.stack(ballots).mean(dim=0)


def ensemble(ballot: Tensor) -> Tensor:
    """The layer-wise ensemble: predictor m of M weighs 2^m / (2^M - 1); (batch, classes)."""
    predictors = ballot.shape[1]
    weights = 2.0 ** torch.arange(predictors, dtype=ballot.dtype, device=ballot.device)
    return torch.einsum("bmc,m->bc", ballot, weights / (2**predictors - 1))


@dataclass(frozen=True, kw_only=True)
class Result:
    """One evaluation: accuracies in percent (top-1), the mean loss of the last predictor.

    `rows` has one entry per row of the trunk: the mean of its groups' softmax, or None for a row
    whose heads do not tell classes. `head` is the read-out head where there is one; `ensemble` all
    predictors, layer-wise. `member` is group 0 of the last row alone, where there are several and
    they end the trunk: a single thread.
    """

    epoch: int
    step: int
    split: str
    images: int
    rows: tuple[float | None, ...]
    head: float | None
    ensemble: float
    loss: float
    member: float | None = None


@dataclass
class Tally:
    """Counts right answers over the batches of one evaluation.

    `voters` are the rows that vote, of `depth`; the one behind them is the read-out head.
    """

    voters: tuple[int, ...]
    depth: int
    right: list[int] = field(default_factory=list[int])
    images: int = 0
    loss: float = 0.0
    member: int = 0

    def add(self, ballot: Tensor, labels: Tensor, member: Tensor) -> None:
        """Count one batch: ballot (batch, predictors, classes), labels (batch,).

        `member` is the softmax vector of the module that counts, (batch, classes).
        """
        self.member += int((member.argmax(dim=1) == labels).sum())
        answers = torch.cat([ballot, ensemble(ballot).unsqueeze(1)], dim=1).argmax(dim=2)
        right = cast(list[int], (answers == labels.unsqueeze(1)).sum(dim=0).tolist())
        self.right = [a + b for a, b in zip(self.right or [0] * len(right), right, strict=True)]
        chosen = ballot[:, -1].gather(1, labels.unsqueeze(1)).clamp_min(1e-30)
        self.loss -= chosen.log().sum().item()
        self.images += len(labels)

    def result(self, *, epoch: int, step: int, split: str, members: int) -> Result:
        """The evaluation, once all batches are counted, of a last row of so many `members`."""
        percent = [100 * count / self.images for count in self.right]
        *predictors, together = percent
        by_row = dict(zip(self.voters, predictors, strict=True))
        return Result(
            epoch=epoch,
            step=step,
            split=split,
            images=self.images,
            rows=tuple(by_row.get(k) for k in range(self.depth)),
            head=by_row.get(self.depth),
            ensemble=together,
            loss=self.loss / self.images,
            member=100 * self.member / self.images if members > 1 else None,
        )
