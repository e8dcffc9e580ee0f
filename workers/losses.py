"""Losses that torch does not have."""

from collections.abc import Sequence

import torch
from torch import Tensor


def wrong_classes(probabilities: Tensor, labels: Tensor) -> Tensor:
    """n of spec §1.5: the distribution over the wrong classes, at length one.

    `probabilities` is (batch, classes), `labels` (batch,). The true class is set to 0, the rest
    divided by its sum, then by its Euclidean norm (1e-8 inside each).
    """
    right = torch.nn.functional.one_hot(labels, probabilities.shape[1]).bool()
    rest = probabilities.masked_fill(right, 0)
    rest = rest / (rest.sum(dim=1, keepdim=True) + 1e-8)
    return rest / torch.sqrt((rest * rest).sum(dim=1, keepdim=True) + 1e-8)


def diversity(own: Tensor, others: Sequence[Tensor], labels: Tensor) -> Tensor:
    """How alike a head's wrong answers are to its peers' (GN-DGL, Eq. (1); spec §1.5).

    `own` and each of `others` are softmax vectors (batch, classes); only `own` has a gradient.
    The mean cosine over ordered pairs, of which a head owns 2 / (G (G - 1)): the factor 2 makes the
    heads' private gradients add up to the gradient of the row's joint term.
    """
    groups = len(others) + 1
    mine = wrong_classes(own, labels)
    alike = torch.stack([(mine * wrong_classes(p.detach(), labels)).sum() for p in others]).sum()
    return alike * (2 / (len(labels) * groups * (groups - 1)))
