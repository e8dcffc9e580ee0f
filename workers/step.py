"""The words a method says to the world: its step is a generator that yields them.

    h = module.trunk(inbox.features)
    yield from send_ahead(h)                          # gone before our own backward begins
    yield from send_context(x)                        # for rows further on, if they ask for it
    yield from alive()                                # in a long step: it goes on
    others = yield from exchange("features", [h])     # the peers' tensors, without gradient
    …
    return Lesson(losses={"task": …}, logits=logits)

A step does no IO: what leaves the module is yielded, what arrives is the value of the yield.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor


@dataclass(frozen=True)
class SendAhead:
    """Features, (batch, *writes), for every module of the next row."""

    features: Tensor


@dataclass(frozen=True)
class SendContext:
    """The module's own channels of its input, for every module of a later row that hears them."""

    part: Tensor


@dataclass(frozen=True)
class AwaitTarget:
    """Answered with what the next row says this module should have made, (batch, *writes)."""


@dataclass(frozen=True)
class SendTarget:
    """What the row before should have made, (batch, *reads)."""

    target: Tensor


@dataclass(frozen=True)
class Exchange:
    """One tensor for each peer of the row; answered with theirs, in group order."""

    name: str
    tensors: Sequence[Tensor]


@dataclass(frozen=True)
class Alive:
    """Nothing is asked for."""


T = TypeVar("T")
Word = SendAhead | SendContext | Exchange | AwaitTarget | SendTarget | Alive
Step = Generator[Word, Any, T]


def send_ahead(features: Tensor) -> Step[None]:
    """Pass `features` on, detached, through the outlet; returns at once unless the window is full.

    `features` are (batch, *makes): dropout and pooling on the way to the next row are not theirs.
    """
    yield SendAhead(features.detach())


def send_context(part: Tensor) -> Step[None]:
    """Pass the own part of the module's input on, detached, to the rows it is a context of."""
    yield SendContext(part.detach())


def await_target() -> Step[Tensor]:
    """Wait for the target of this batch from the next row."""
    target: Tensor = yield AwaitTarget()
    return target


def send_target(target: Tensor) -> Step[None]:
    """Tell the row before what it should have made, detached; nobody hears it from row 0."""
    yield SendTarget(target.detach())


def exchange(name: str, tensors: Sequence[Tensor]) -> Step[list[Tensor]]:
    """Show each peer its tensor, detached; theirs in group order, [] in a row of one."""
    others: list[Tensor] = yield Exchange(name, [tensor.detach() for tensor in tensors])
    return others


def alive() -> Step[None]:
    """Say that the step goes on: after a long silence a run is taken to hang."""
    yield Alive()


@dataclass(frozen=True, kw_only=True)
class Inbox:
    """What a module has at hand for one batch.

    `features` is (batch, *reads): the image in row 0, else all groups of the row before, joined.
    `step` names the batch, of `batch` images; the module computes `rows` of them: all, unless the
    row has replicas. `contexts` has one tensor for each of the plan's; `pixels` is the image in
    [0, 1], for a module that reconstructs it.
    """

    features: Tensor
    step: int
    batch: int
    rows: slice
    contexts: tuple[Tensor, ...] = ()
    pixels: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a step learnt: named losses (scalars, summed for the backward pass).

    `logits`, (batch, classes), are None for a module that has none. `notes` are only written down.
    `afterwards` is the rest of the step, once the module is updated; it returns more notes.
    """

    losses: dict[str, Tensor]
    logits: Tensor | None
    notes: dict[str, float] = field(default_factory=dict[str, float])
    afterwards: Step[dict[str, float]] | None = None


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What a module says in an evaluation turn: its features, and its logits if it has any."""

    features: Tensor
    logits: Tensor | None
