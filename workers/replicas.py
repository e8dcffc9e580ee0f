"""Replicas of a row: each computes a share of the batch, and their gradients are added up."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from partition.build import LocalModule
from workers.step import Step, exchange


def add_up(module: LocalModule, name: str, parameters: Iterable[nn.Parameter]) -> Step[None]:
    """Make the gradients of `parameters` the sum over the row's replicas; alone, they are it.

    All add in the same order, so that replicas stay the same to the last bit.
    """
    if module.plan.share.of == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    sums = yield from added(module, name, gradients)
    for gradient, whole in zip(gradients, sums, strict=True):
        gradient.copy_(whole)


def added(module: LocalModule, name: str, tensors: Sequence[Tensor]) -> Step[list[Tensor]]:
    """The sum of each of `tensors` over the row's replicas, who must all have the same shapes."""
    share = module.plan.share
    if share.of == 1:
        return list(tensors)
    mine = torch.cat([tensor.flatten() for tensor in tensors]).unsqueeze(0)
    parts = yield from exchange(name, [mine] * (share.of - 1))
    parts.insert(share.index, mine)
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    sums: list[Tensor] = []
    start = 0
    for tensor in tensors:
        sums.append(total[0, start : start + tensor.numel()].view(tensor.shape))
        start += tensor.numel()
    return sums
