"""Losses that torch does not have."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot


def wrong_classes(probabilities: Tensor, labels: Tensor) -> Tensor:
    """n of spec §1.5: the distribution over the wrong classes, at length one.

    `probabilities` is (batch, classes), `labels` (batch,). The true class is set to 0, the rest
    divided by its sum, then by its Euclidean norm (1e-8 inside each).
    """
    right = one_hot(labels, probabilities.shape[1]).bool()
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


def contrast(embeddings: Tensor, labels: Tensor, temperature: float = 0.07) -> Tensor:
    """Supervised contrast with one view per image (Khosla et al. 2020, Eq. (2); spec §5).

    `embeddings` is (batch, size), of any length; `labels` (batch,). Every image is drawn to those
    of its class against all others. One without another of its class adds 0 to the mean.
    """
    unit = normalize(embeddings, dim=1)
    alike = unit @ unit.T / temperature
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    log_share = alike - alike.masked_fill(itself, -torch.inf).logsumexp(dim=1, keepdim=True)
    same = (labels.unsqueeze(0) == labels.unsqueeze(1)) & ~itself
    drawn = log_share.masked_fill(~same, 0).sum(dim=1) / same.sum(dim=1).clamp_min(1)
    return -drawn.mean()


def _correlation(x: Tensor) -> Tensor:
    """S of spec §3.2, (batch, batch): how alike the samples' features are, from -1 to 1.

    Maps of more than three channels and one row are first reduced to their standard deviation.
    """
    if x.ndim == 4 and x.shape[1] > 3 and x.shape[2] > 1:
        x = x.flatten(2).std(dim=2)
    x = x.flatten(1)
    x = x - x.mean(dim=1, keepdim=True)
    length = cast(Tensor, torch.linalg.vector_norm(x, dim=1, keepdim=True))
    unit = x / (1e-8 + length)
    return (unit @ unit.T).clamp(-1, 1)


def similarity(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Whether samples of a class look alike and others do not (Nøkland & Eidnes 2019, Eq. (1)).

    `features` is (batch, channels, height, width) or (batch, size), `labels` (batch,).
    """
    wanted = _correlation(one_hot(labels, classes).to(features.dtype))
    return (_correlation(features) - wanted).square().mean()
