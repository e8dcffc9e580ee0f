"""The words a method says to the world: its step is a generator that yields them.

    h = module.trunk(inbox.features)
    yield from send_ahead(h)                          # gone before our own backward begins
    others = yield from exchange("features", h)       # the peers' tensors, without gradient
    …
    return Lesson(losses={"task": …}, logits=logits)

A step does no IO: what leaves the module is yielded, what arrives is the value of the yield.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor


@dataclass(frozen=True)
class SendAhead:
    """Features, (batch, *writes), for every module of the next row."""

    features: Tensor


@dataclass(frozen=True)
class Exchange:
    """One tensor for every peer of the row; answered with theirs, in group order."""

    name: str
    tensor: Tensor


T = TypeVar("T")
Step = Generator[SendAhead | Exchange, Any, T]


def send_ahead(features: Tensor) -> Step[None]:
    """Pass `features` on, detached; returns at once unless the window is full."""
    yield SendAhead(features.detach())


def exchange(name: str, tensor: Tensor) -> Step[list[Tensor]]:
    """Show `tensor`, detached, to the peers; theirs in group order, [] in a row of one."""
    others: list[Tensor] = yield Exchange(name, tensor.detach())
    return others


@dataclass(frozen=True, kw_only=True)
class Inbox:
    """What a module has at hand for one batch.

    `features` is (batch, *reads): the image in row 0, else all groups of the row before, joined.
    `labels` is (batch,).
    """

    features: Tensor
    labels: Tensor


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a step learnt: named losses (scalars, summed for the backward pass), and logits."""

    losses: dict[str, Tensor]
    logits: Tensor


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What a module says in an evaluation turn: its features, and its logits (batch, classes)."""

    features: Tensor
    logits: Tensor
