"""Targets, and how they travel: for methods that tell each layer what it should have made.

Ernoult et al. (ICML 2022), difference target propagation; Lee et al. (2015).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softmax

from partition.build import LocalModule
from partition.networks.mirrored import Code


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer's part of a batch: what it read, what it made with a graph of its own, its code."""

    index: int  # in the network
    name: str
    x: Tensor
    s: Tensor
    code: Code


def layers_of(module: LocalModule, x: Tensor, *, inward: bool = False) -> Iterator[Layer]:
    """Every layer with a graph of its own: what it reads is detached. `x` is (batch, *reads).

    `inward`: what a layer reads takes a gradient as well.
    """
    for index, name in enumerate(module.plan.blocks, start=module.plan.first):
        x = x.detach().requires_grad_(inward)
        s, code = module.layer(name).coded(x)
        yield Layer(index=index, name=name, x=x, s=s, code=code)
        x = s


def target_of_logits(logits: Tensor, labels: Tensor, beta: float) -> Tensor:
    """The target of the logits: a step of `beta` along each sample's cross-entropy."""
    return logits - beta * error(logits, labels)


def error(logits: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the summed cross-entropy with respect to the logits, (batch, classes)."""
    wanted = one_hot(labels, logits.shape[1]).to(logits.dtype)
    return softmax(logits, dim=1) - wanted


@torch.no_grad()
def target_before(
    module: LocalModule, layer: Layer, target: Tensor, *, corrected: bool = True
) -> Tensor:
    """t_{l-1} = s_{l-1} + G(t_l) - G(s_l), with the code of s_l; not `corrected`, G(t_l)."""
    mirror = module.mirror(layer.name)
    if not corrected:
        return mirror(target, layer.code)
    codes = None if layer.code is None else torch.cat([layer.code, layer.code])
    aimed, made = mirror(torch.cat([target, layer.s.detach()]), codes).chunk(2)
    return layer.x + aimed - made
