"""A frame is what the plan says, or its header tells both ends that it is not."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from comm import frame
from comm.channel import receive, send
from comm.errors import WrongMessage
from comm.frame import HEADER
from comm.message import Flag, Message
from comm.route import DTYPES, Route, TensorSpec
from comm.transports.gloo import Gloo
from comm.transports.memory import Memory
from tests.plays import (
    CPU,
    ERA,
    PAIR,
    Act,
    Stage,
    arrived,
    backwards,
    deliver,
    message_of,
    play_over_gloo,
    road,
    spec,
    strewn,
)

pytestmark = pytest.mark.timeout(60)


def test_a_header_is_a_cache_line() -> None:
    assert HEADER.size == struct.calcsize("<4sIQIIIQ28s") == 64


SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def specs(draw: st.DrawFn) -> TensorSpec:
    shape = draw(SHAPES)
    layout = draw(st.sampled_from(["contiguous", "channels_last"])) if len(shape) == 3 else None
    return TensorSpec(
        shape=shape, dtype=draw(st.sampled_from(sorted(DTYPES))), layout=layout or "contiguous"
    )


FLAGS = [one | save for one in (Flag.NONE, Flag.VOTE, Flag.STOP) for save in (Flag.NONE, Flag.SAVE)]


@settings(deadline=None)
@given(
    st.lists(specs(), max_size=3),
    st.integers(0, 5),
    st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)),
    st.sampled_from(FLAGS),
    st.sampled_from([Tensor.clone, backwards, strewn]),
)
def test_a_frame_and_a_queue_deliver_the_same(
    parts: list[TensorSpec],
    rows: int,
    when: tuple[int, int],
    flags: Flag,
    laid: Callable[[Tensor], Tensor],
) -> None:
    turn, step = when
    route = road(*parts, voting=parts[::-1], rows=5)
    message = message_of(route, turn, rows, flags)
    message = replace(message, step=step, tensors=tuple(map(laid, message.tensors)))
    packed = frame.pack(frame.allocate(route), route, message, ERA)
    landed = frame.allocate(route)
    landed[: len(packed)] = packed  # as gloo does: the rest of the posted frame is not touched
    with Memory() as transport:
        deliver(transport.sender(route), message)
        for got in (
            frame.unpack(landed, route, turn=turn, era=ERA),
            transport.receiver(route).receive(turn),
        ):
            assert arrived(route, got) == (turn, rows, flags)
            assert got.step == step
            assert not (got.stop and got.tensors)


def test_no_graph_travels() -> None:
    route = road(spec(3))
    weights = torch.randn(1, 3, requires_grad=True)
    message = Message(turn=0, rows=1, tensors=(2 * weights,))
    packed = frame.pack(frame.allocate(route), route, message, ERA)
    assert not packed.requires_grad
    with Memory() as transport:
        deliver(transport.sender(route), message)
        assert not transport.receiver(route).receive(0).tensors[0].requires_grad


# ── the header ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        (0, b"html", "a message of another format"),
        (1, 4, "a message of another generation"),
        (2, 6, "k1g0 expects turn 7, k0g0 sent turn 6"),
        (2, 8, "k1g0 expects turn 7, k0g0 sent turn 8"),
        (4, 5, "k0g0 sent 5 samples in 64 bytes"),
        (4, 2**32 - 1, "k0g0 sent 4294967295 samples"),
        (5, int(Flag.STOP), "which is not what k1g0 was planned for"),
        (5, int(Flag.VOTE), "which is not what k1g0 was planned for"),
        (6, 9, "a message of another route"),
        (7, 128, "k0g0 sent 4 samples in 128 bytes"),
        (8, b"\xcd" * 20, "a message of another plan digest"),
    ],
)
def test_a_header_that_is_not_expected_names_both_modules(
    field: int, value: object, complaint: str
) -> None:
    route = road(spec(3), voting=(spec(3), spec(2)))
    packed = frame.pack(frame.allocate(route), route, message_of(route, 7, 4), ERA)
    values = list(HEADER.unpack(bytes(packed[: HEADER.size].numpy())))
    values[field] = value
    packed[: HEADER.size] = torch.frombuffer(bytearray(HEADER.pack(*values)), dtype=torch.uint8)
    with pytest.raises(WrongMessage) as caught:
        frame.unpack(packed, route, turn=7, era=ERA)
    text = str(caught.value)
    assert "k0g0→k1g0 (features)" in text
    assert complaint in text


@pytest.mark.parametrize("at", [0, 19])
def test_plans_whose_digests_differ_in_any_byte_of_a_mark_are_told_apart(at: int) -> None:
    digest = bytearray.fromhex(ERA.digest)
    digest[at] ^= 1
    route = road(spec(3))
    packed = frame.pack(frame.allocate(route), route, message_of(route, 0, 1), ERA)
    with pytest.raises(WrongMessage, match="a message of another plan digest"):
        frame.unpack(packed, route, turn=0, era=replace(ERA, digest=digest.hex()))


@settings(deadline=None)
@given(st.binary(min_size=64, max_size=64))
def test_random_bytes_are_no_message(header: bytes) -> None:
    route = road(spec(3))
    landed = frame.allocate(route)
    landed[:64] = torch.frombuffer(bytearray(header), dtype=torch.uint8)
    with pytest.raises(WrongMessage):
        frame.unpack(landed, route, turn=0, era=ERA)


def say_strangely(routes: Sequence[Route], stage: Stage) -> Act:
    first, second, third = routes
    for route in (first, second):
        yield from send(stage.transport.sender(route), message_of(route, 0, 1))
    strange = frame.pack(
        frame.allocate(third), replace(third, tag=99), message_of(third, 0, 1), ERA
    )
    dist.send(strange, 1, tag=third.tag)


def hear_strangers(routes: Sequence[Route], stage: Stage) -> Act:
    """Receive as another generation, as another plan, and from another route; the complaints."""
    eras = (replace(ERA, generation=4), replace(ERA, digest="cd" * 32), ERA)
    ends = [Gloo(PAIR, e, CPU).receiver(r) for r, e in zip(routes, eras, strict=True)]
    complaints: list[str] = []
    for end in ends:
        try:
            yield from receive(end, 0)
        except WrongMessage as error:
            complaints.append(str(error))
    return complaints


def test_a_stranger_among_processes_is_named_with_both_ends(tmp_path: Path) -> None:
    routes = [road(spec(3), tag=tag) for tag in range(3)]
    _, complaints = play_over_gloo(
        tmp_path, partial(say_strangely, routes), partial(hear_strangers, routes)
    )
    both = "k0g0→k1g0 (features): k1g0 received from k0g0 a message of another "
    assert complaints == [f"{both}generation", f"{both}plan digest", f"{both}route"]
