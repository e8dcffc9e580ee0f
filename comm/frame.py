"""A message as bytes: a fixed header, then each tensor on its own cache line.

    | magic | generation | turn | step | rows | flags | tag | payload |  plan digest  |  tensors …
      4       4            8      8      4      4       4     8          20            capacity

The whole frame is one flat uint8 tensor, so a message is one send, and a smaller last batch is
a shorter one. A receiver always posts the largest frame of its route. Channels-last maps travel
as contiguous (rows, height, width, channels) and are viewed back: no copy on arrival.
"""

import struct
from dataclasses import dataclass

import torch
from torch import Tensor

from comm.errors import WrongMessage
from comm.message import Flag, Message, check_turn, specs_of
from comm.route import Route, TensorSpec

HEADER = struct.Struct("<4sIQQIIIQ20s")
MAGIC = b"loci"
assert HEADER.size == 64


@dataclass(frozen=True, kw_only=True)
class Era:
    """Which run, and which start of it, a frame belongs to: nothing else is accepted."""

    generation: int
    digest: str

    @property
    def mark(self) -> bytes:
        return bytes.fromhex(self.digest)[:20].ljust(20, b"\0")


def allocate(route: Route, *, pinned: bool = False) -> Tensor:
    """An empty frame for the largest message of `route`."""
    return torch.empty(HEADER.size + route.capacity, dtype=torch.uint8, pin_memory=pinned)


def _views(frame: Tensor, specs: tuple[TensorSpec, ...], rows: int) -> list[Tensor]:
    """The tensors inside a frame, (rows, *shape) each, without a copy."""
    views: list[Tensor] = []
    start = HEADER.size
    for spec in specs:
        flat = frame[start : start + spec.bytes(rows)].view(getattr(torch, spec.dtype))
        if spec.layout == "channels_last":
            channels, height, width = spec.shape
            views.append(flat.view(rows, height, width, channels).permute(0, 3, 1, 2))
        else:
            views.append(flat.view(rows, *spec.shape))
        start += spec.room(rows)
    return views


def pack(frame: Tensor, route: Route, message: Message, era: Era) -> Tensor:
    """Write `message` into `frame`; returns the part of the frame that must travel."""
    specs = specs_of(route, message.flags)
    payload = sum(spec.room(message.rows) for spec in specs)
    header = HEADER.pack(
        MAGIC,
        era.generation,
        message.turn,
        message.step,
        message.rows,
        int(message.flags),
        route.tag,
        payload,
        era.mark,
    )
    frame[: HEADER.size] = torch.frombuffer(bytearray(header), dtype=torch.uint8)
    for view, tensor in zip(_views(frame, specs, message.rows), message.tensors, strict=True):
        view.copy_(tensor.detach())
    return frame[: HEADER.size + payload]


def unpack(frame: Tensor, route: Route, *, turn: int, era: Era) -> Message:
    """The message in `frame`, as views into it. WrongMessage if it is not the one expected."""
    magic, generation, got, step, rows, flags, tag, payload, mark = HEADER.unpack(
        bytes(frame[: HEADER.size].numpy())
    )
    mine = (MAGIC, era.generation, route.tag, era.mark)
    theirs = (magic, generation, tag, mark)
    if mine != theirs:
        names = ("format", "generation", "route", "plan digest")
        wrong = ", ".join(n for n, a, b in zip(names, mine, theirs, strict=True) if a != b)
        raise WrongMessage(
            f"{route} ({route.name}): {route.target} received from {route.source} "
            f"a message of another {wrong}"
        )
    check_turn(route, expected=turn, got=got)
    specs = specs_of(route, Flag(flags))
    if rows > route.rows or payload != sum(spec.room(rows) for spec in specs):
        raise WrongMessage(
            f"{route} ({route.name}): {route.source} sent {rows} samples in {payload} bytes, "
            f"which is not what {route.target} was planned for"
        )
    tensors = _views(frame, specs, rows)
    return Message(turn=got, step=step, rows=rows, flags=Flag(flags), tensors=tensors)
