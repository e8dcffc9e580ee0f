"""Multiply-accumulates of a forward pass, by the convention of the papers (spec §1.10).

    convolution   k² (C_in / groups) C_out H W      batch-norm   2 numel      ReLU   numel
    linear        in * out + out                    pooling of a map          numel of its input
    + numel of what a convolution writes if it has a bias; LeakyReLU as ReLU
    everything else 0; one sample; forward only

This is what ptflops 0.6 prints, and what GN-DGL's Tables 4 and 5 are made of.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Count:
    """The cost of one piece of a network, per sample; `shape` is what it writes."""

    macs: int
    parameters: int
    shape: tuple[int, ...]


def _macs(layer: nn.Module, read: Tensor, written: Tensor) -> int:
    match layer:
        case nn.Conv2d():
            area = layer.kernel_size[0] * layer.kernel_size[1]
            bias = 0 if layer.bias is None else written[0].numel()
            return area * layer.in_channels // layer.groups * written[0].numel() + bias
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return 2 * written.numel()
        case nn.ReLU() | nn.LeakyReLU():
            return written.numel()
        case nn.Linear():
            bias = 0 if layer.bias is None else layer.out_features  # pyright: ignore
            return layer.in_features * layer.out_features + bias
        case nn.AdaptiveAvgPool2d() | nn.AvgPool2d() | nn.MaxPool2d():
            return read.numel()
        case _:
            return 0


def _same(x: Tensor) -> Tensor:
    """Batch-norm, as far as shapes go."""
    return x


def count(module: nn.Module, *shapes: tuple[int, ...]) -> Count:
    """Count `module`, built on the meta device, on one sample of each shape: nothing is computed.

    The module is good for nothing else afterwards.

    If it writes several tensors, `shape` is the first one's.
    """
    total = 0

    def add(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal total
        total += _macs(layer, inputs[0], output)

    hooks = [m.register_forward_hook(add) for m in module.modules() if not any(m.children())]
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            vars(layer)["forward"] = _same  # on meta tensors it took most of the planner's time
    module.eval()
    with torch.no_grad():
        written = module(*(torch.empty(1, *shape, device="meta") for shape in shapes))
    for hook in hooks:
        hook.remove()
    parameters = sum(parameter.numel() for parameter in module.parameters())
    first = written if isinstance(written, Tensor) else next(t for t in written if t is not None)
    return Count(macs=total, parameters=parameters, shape=tuple(first.shape[1:]))
