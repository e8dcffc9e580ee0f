"""Draws the first weights of everything a module is made of, or says what can not be drawn.

    layers of partition.layers, and others with `draw`   draw their own whole, and take their slice
    norms                                                start at constants, as constructed
    other layers of torch                                as torch draws them, whole, by their name
    anything else that has weights, torch's dropout      is refused, by its name

So every weight is a function of (seed, name), and two runs of one seed start alike. A layer of
torch does not know of slices: where a row has several groups, only norms of single channels may
stand beside the layers of partition.layers.
"""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from comm.errors import BadInput
from partition.layers import Drawn, generator

# They start at constants and treat every channel by itself: the slice of one is one of the slice.
PER_CHANNEL = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
CONSTANT = (*PER_CHANNEL, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
# They draw in every step, from torch's global source, which no seed of a run reaches.
RANDOM = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU),
)


@runtime_checkable
class Resets(Protocol):
    """A layer of torch, which can draw its weights again."""

    def reset_parameters(self) -> None:
        """Draw them from torch's global source of random numbers."""
        ...


def draw(module: nn.Module, seed: int, name: str) -> None:
    """Draw every layer of `module`; names are its own `name` plus the path within it.

    Raises BadInput, with all their names, if there are layers that nobody can draw.
    """
    if problems := [*undrawable(module, name)]:
        raise BadInput(problems)
    for path, layer in _layers(module, name):
        if isinstance(layer, Drawn):
            layer.draw(seed, path)
        elif isinstance(layer, Resets) and not isinstance(layer, CONSTANT):
            with torch.random.fork_rng(devices=()):
                torch.set_rng_state(generator(seed, path).get_state())
                layer.reset_parameters()


def undrawable(module: nn.Module, name: str, *, sliced: bool = False) -> Iterator[str]:
    """Which layers of `module` can not be drawn, and why; `sliced`: it is a group's of several."""
    for path, layer in _layers(module, name):
        kind = type(layer).__name__
        if isinstance(layer, (Drawn, *PER_CHANNEL)):
            continue
        if isinstance(layer, RANDOM):
            yield (
                f"{path} is a {kind}, which draws other numbers in every run: build it from "
                "partition.layers"
            )
        elif sliced:
            yield (
                f"--groups: {path} is a {kind}, a whole layer that no group can have a slice of: "
                "leave --groups out, or build it from partition.layers"
            )
        elif any(is_lazy(p) for p in layer.parameters(recurse=False)):
            yield f"{path} is a {kind}, whose size nobody knows yet: give it one"
        elif not isinstance(layer, (Resets, *CONSTANT)):
            yield (
                f"{path} is a {kind} with weights that nobody draws from the seed: give it a "
                "method draw(seed, name), or reset_parameters()"
            )


def _layers(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """By name: what draws itself, with all that is in it; what has weights of its own, or draws."""
    if isinstance(module, Drawn):
        yield name, module
        return
    if isinstance(module, RANDOM) or any(True for _ in module.parameters(recurse=False)):
        yield name, module
    for path, child in module.named_children():
        yield from _layers(child, f"{name}.{path}")
