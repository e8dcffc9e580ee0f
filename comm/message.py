"""What travels on a route, and the checks it must pass on arrival."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import TYPE_CHECKING

from comm.errors import WrongMessage
from comm.route import Route, TensorSpec

if TYPE_CHECKING:
    from torch import Tensor


class Flag(IntFlag):
    """What a message says beside its tensors."""

    NONE = 0
    VOTE = 1  # an evaluation turn: the `voting` tensors travel
    STOP = 2  # no tensors: the sender ended before this turn, and so does the receiver
    SAVE = 4  # the sender wrote a checkpoint before this turn, and so does the receiver


@dataclass(frozen=True, kw_only=True)
class Message:
    """The tensors of one turn on one route; (rows, *shape) each, in the order of the route.

    `turn` counts the sender's messages; `step` names the batch they are of. A STOP says in `step`
    before which turn of row 0 the run ends.
    """

    turn: int
    step: int = 0
    rows: int = 0
    flags: Flag = Flag.NONE
    tensors: Sequence["Tensor"] = field(default=())

    @property
    def stop(self) -> bool:
        return Flag.STOP in self.flags

    @property
    def save(self) -> bool:
        return Flag.SAVE in self.flags


def specs_of(route: Route, flags: Flag) -> tuple[TensorSpec, ...]:
    """The tensors that a message with these flags carries on this route."""
    if Flag.STOP in flags:
        return ()
    return route.voting if Flag.VOTE in flags else route.learning


def check_outgoing(route: Route, message: Message) -> None:
    """A message must be what the plan says before it leaves; WrongMessage names both ends."""
    specs = specs_of(route, message.flags)
    if len(specs) != len(message.tensors):
        raise WrongMessage(
            f"{route} ({route.name}): {message.turn=} carries {len(message.tensors)} tensors, "
            f"the plan says {len(specs)}"
        )
    if message.rows > route.rows:
        raise WrongMessage(
            f"{route} ({route.name}): a batch of {message.rows}, planned for {route.rows} at most"
        )
    for spec, tensor in zip(specs, message.tensors, strict=True):
        shape, dtype = tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")
        if shape != (message.rows, *spec.shape) or dtype != spec.dtype:
            raise WrongMessage(
                f"{route} ({route.name}): sends {dtype}{list(shape)}, "
                f"the plan says {spec.dtype}{[message.rows, *spec.shape]}"
            )


def check_turn(route: Route, *, expected: int, got: int) -> None:
    """Messages arrive in the order of turns; WrongMessage names both ends."""
    if expected != got:
        raise WrongMessage(
            f"{route} ({route.name}): {route.target} expects turn {expected}, "
            f"{route.source} sent turn {got}"
        )
