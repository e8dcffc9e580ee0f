"""Plays for the tests of transports: an act per module, in one process or in one each.

play_in_memory(folder, say, hear)      # acts: generators that wait at ends, or for signs
play_over_gloo(folder, say, hear)      # both: what each act returned, or the first error
"""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from comm.address import Address, Grid
from comm.channel import Sender, Wait, send
from comm.frame import Era
from comm.message import Flag, Message, specs_of
from comm.rendezvous import BACKSTOP, Meeting, meet
from comm.route import Kind, Layout, Route, TensorSpec
from comm.transports import Transport
from comm.transports.gloo import Gloo
from comm.transports.memory import Memory
from tests.processes import Child, Signs, processes, results

CPU = torch.device("cpu")
ERA = Era(generation=3, digest="ab" * 32)


def spec(*shape: int, dtype: str = "float32", layout: Layout = "contiguous") -> TensorSpec:
    return TensorSpec(shape=shape, dtype=dtype, layout=layout)


def road(
    *learning: TensorSpec,
    voting: Sequence[TensorSpec] = (),
    ends: tuple[Address, Address] = (Address(0, 0), Address(1, 0)),
    name: str = "features",
    rows: int = 4,
    window: int = 2,
    tag: int = 0,
) -> Route:
    return Route(
        source=ends[0],
        target=ends[1],
        kind=Kind.AHEAD,
        name=name,
        learning=learning,
        voting=tuple(voting),
        rows=rows,
        window=window,
        tag=tag,
    )


def drawn(spec: TensorSpec, rows: int, seed: int) -> Tensor:
    """The tensor that travels at turn `seed`; both ends can draw it."""
    source = torch.Generator().manual_seed(seed)
    if spec.dtype in ("uint8", "int64"):
        tensor = torch.randint(256, (rows, *spec.shape), generator=source)
    else:
        tensor = torch.randn(rows, *spec.shape, generator=source, dtype=torch.float64)
    last = spec.layout == "channels_last"
    return tensor.to(getattr(torch, spec.dtype)).clone(
        memory_format=torch.channels_last if last else torch.contiguous_format
    )


def message_of(route: Route, turn: int, rows: int, flags: Flag = Flag.NONE) -> Message:
    tensors = tuple(drawn(spec, rows, turn) for spec in specs_of(route, flags))
    return Message(turn=turn, rows=rows, flags=flags, tensors=tensors)


def arrived(route: Route, message: Message) -> tuple[int, int, Flag]:
    """The message's head, once its tensors are found to be what was drawn, laid out as planned."""
    for spec, tensor in zip(specs_of(route, message.flags), message.tensors, strict=True):
        wanted = drawn(spec, message.rows, message.turn)
        assert tensor.dtype == wanted.dtype, f"{route} is {tensor.dtype}"
        assert torch.equal(tensor, wanted), f"{route} differs at turn {message.turn}"
        last = spec.layout == "channels_last"
        layout = torch.channels_last if last else torch.contiguous_format
        if tensor.numel():  # what is empty lies nowhere
            assert tensor.stride() == wanted.stride(), f"{route} has strides {tensor.stride()}"
            assert tensor.is_contiguous(memory_format=layout), f"{route} has another layout"
    return message.turn, message.rows, message.flags


def deliver(end: Sender, message: Message) -> None:
    """Send at once, where nobody has to be waited for."""
    for _ in send(end, message):
        pass


def backwards(tensor: Tensor) -> Tensor:
    """The same values, the last axis the slowest in memory."""
    axes = range(tensor.ndim - 1, -1, -1)
    return tensor.permute(*axes).contiguous().permute(*axes)


def strewn(tensor: Tensor) -> Tensor:
    """The same values, where every other element in memory is not the tensor's."""
    room = torch.empty(*tensor.shape, 2, dtype=tensor.dtype)
    room[..., 0] = tensor
    return room[..., 0]


# ── plays: one act per party, in one process or in several ───────────────────────────────────

Act = Generator[Wait | None, None, Any]  # None: waits for a sign


@dataclass(frozen=True)
class Stage:
    """What an act stands on."""

    transport: Transport
    signs: Signs


class Play(Protocol):
    """Performs acts, the first at rank 0, and returns what each of them returned."""

    def __call__(self, *acts: Callable[[Stage], Act], grid: Grid = ...) -> list[Any]: ...


PAIR = Grid(groups=(1, 1))


def play_in_memory(folder: Path, *acts: Callable[[Stage], Act], grid: Grid = PAIR) -> list[Any]:
    """All acts in this process, an earlier one always before a later one where it can go on."""
    results: list[Any] = [None] * len(acts)
    with Memory() as transport:
        stage = Stage(transport, Signs(folder))
        parties = {index: act(stage) for index, act in enumerate(acts)}
        waits: dict[int, Wait | None] = dict.fromkeys(parties)
        while parties:
            able = [i for i in parties if (wait := waits[i]) is None or wait.end.ready()]
            chosen = min(able or parties)  # where none is able, blocking is an error of its own
            try:
                waits[chosen] = next(parties[chosen])
            except StopIteration as end:
                results[chosen] = end.value
                del parties[chosen]
    return results


def at_the_door() -> None:
    """Has everything imported."""


def perform(act: Callable[[Stage], Act], meeting: Meeting, grid: Grid, folder: Path) -> Any:
    """One act in a process of its own."""
    with meet(meeting), Gloo(grid, meeting.era, CPU) as transport:
        party = act(Stage(transport, Signs(folder)))
        while True:
            try:
                if next(party) is None:
                    time.sleep(0.002)
            except StopIteration as end:
                return end.value


def begin(
    children: Sequence[Child],
    folder: Path,
    *acts: Callable[[Stage], Act],
    grid: Grid = PAIR,
    backstop: timedelta = BACKSTOP,
) -> None:
    """Start one act per process, all at once: a backstop may be shorter than a cold start."""
    for child in children:
        child.call(at_the_door)
    results(children)
    for rank, (child, act) in enumerate(zip(children, acts, strict=True)):
        meeting = Meeting(
            run_id="play",
            rank=rank,
            processes=grid.processes,
            era=ERA,
            folder=folder,
            backstop=backstop,
        )
        child.call(perform, act, meeting, grid, folder)


def play_over_gloo(folder: Path, *acts: Callable[[Stage], Act], grid: Grid = PAIR) -> list[Any]:
    """Every act in a process of its own."""
    with processes(len(acts)) as children:
        begin(children, folder, *acts, grid=grid)
        return results(children)
