"""One contract for every transport, then what only processes do to each other."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import permutations
from pathlib import Path

import pytest
import torch

from comm.address import Address, Grid
from comm.channel import Receiver, Sender, receive, send
from comm.errors import Deadlock, PeerLost, WrongMessage
from comm.group import LayerGroup
from comm.message import Flag, Message
from comm.rendezvous import BACKSTOP
from comm.route import Route
from comm.transports.memory import Memory
from tests.plays import (
    Act,
    Play,
    Stage,
    arrived,
    backwards,
    begin,
    deliver,
    message_of,
    play_in_memory,
    play_over_gloo,
    road,
    spec,
)
from tests.processes import Child, Died, Signs, processes, results

pytestmark = pytest.mark.timeout(60)

SOON = 5.0  # seconds within which a loss is noticed; it takes some hundredths


@pytest.fixture(params=[play_in_memory, play_over_gloo], ids=["memory", "gloo"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    return partial(request.param, tmp_path)


# ── acts ─────────────────────────────────────────────────────────────────────────────────────


Heads = Sequence[tuple[int, Flag]]  # rows and flags of each turn


def say(route: Route, heads: Heads, stage: Stage) -> Act:
    """Send a message per turn, and spoil its tensors as soon as it is sent.

    Every other turn they lie the wrong way round in memory: the route says how they arrive.
    """
    end = stage.transport.sender(route)
    for turn, (rows, flags) in enumerate(heads):
        message = message_of(route, turn, rows, flags)
        if turn % 2:
            message = replace(message, tensors=tuple(map(backwards, message.tensors)))
        yield from send(end, message)
        for tensor in message.tensors:
            tensor.fill_(77)


def hear(route: Route, turns: int, stage: Stage) -> Act:
    """Receive a message per turn; their heads."""
    end = stage.transport.receiver(route)
    heads: list[tuple[int, int, Flag]] = []
    for turn in range(turns):
        heads.append(arrived(route, (yield from receive(end, turn))))
    return heads


def say_and_tell(route: Route, turns: int, stage: Stage) -> Act:
    end = stage.transport.sender(route)
    for turn in range(turns):
        yield from send(end, message_of(route, turn, 1))
        stage.signs.give(f"sent {turn}")


def hear_when_told(route: Route, turns: int, stage: Stage) -> Act:
    """Ask for a turn only after as many sends have returned as ever may; which came too early."""
    end = stage.transport.receiver(route)
    early: list[int] = []
    for turn in range(turns):
        yield from stage.signs.until(f"sent {min(turn + route.window, turns) - 1}")
        time.sleep(0.05)  # time for a send to return that must not
        if stage.signs.given(f"sent {turn + route.window}"):
            early.append(turn + route.window)
        yield from receive(end, turn)
    return early


def say_and_spoil(route: Route, turns: int, stage: Stage) -> Act:
    """Send a message per turn, and spoil its tensors as soon as it is said that this may wait."""
    end = stage.transport.sender(route)
    for turn in range(turns):
        message = message_of(route, turn, 1)
        for wait in send(end, message):
            for tensor in message.tensors:
                tensor.fill_(77)
            yield wait


def say_nonsense(route: Route, stage: Stage) -> Act:
    """Try to send what the plan does not say, then what it says; the refusals."""
    end = stage.transport.sender(route)
    good = message_of(route, 0, 2).tensors
    wrong = {
        "too few": Message(turn=0, rows=2),
        "too many": Message(turn=0, rows=2, tensors=(*good, *good)),
        "dtype": Message(turn=0, rows=2, tensors=(good[0].double(),)),
        "shape": Message(turn=0, rows=2, tensors=(good[0][:, :2],)),
        "fewer rows than it says": Message(turn=0, rows=3, tensors=good),
        "more rows than planned": message_of(route, 0, route.rows + 1),
        "tensors after the end": Message(turn=0, rows=2, flags=Flag.STOP, tensors=good),
        "a vote": Message(turn=0, rows=2, flags=Flag.VOTE, tensors=good),
    }
    refusals: dict[str, str] = {}
    for what, message in wrong.items():
        try:
            yield from send(end, message)
        except WrongMessage as error:
            refusals[what] = str(error)
    yield from send(end, message_of(route, 0, 2))
    return refusals


def say_turn(route: Route, turn: int, stage: Stage) -> Act:
    yield from send(stage.transport.sender(route), message_of(route, turn, 1))


def say_and_close(route: Route, turns: int, stage: Stage) -> Act:
    """Send all, close all, twice."""
    end = stage.transport.sender(route)
    for turn in range(turns):
        yield from send(end, message_of(route, turn, 1))
    end.close()
    end.close()
    stage.signs.give("closed")


def hear_slowly(route: Route, turns: int, stage: Stage) -> Act:
    """Receive late, and the last message only after its sender has closed."""
    end = stage.transport.receiver(route)
    heads: list[tuple[int, int, Flag]] = []
    for turn in range(turns):
        if turn == turns - 1:
            yield from stage.signs.until("closed")
        time.sleep(0.05)
        heads.append(arrived(route, (yield from receive(end, turn))))
    end.close()
    end.close()
    return heads


def exchange(grid: Grid, own: Address, routes: Sequence[Route], turns: int, stage: Stage) -> Act:
    """Exchange large tensors with a row; who was heard, turn after turn."""
    senders: list[Sender] = []
    receivers: list[Receiver] = []
    for route in routes:
        if route.source == own:
            senders.append(stage.transport.sender(route))
        elif route.target == own:
            receivers.append(stage.transport.receiver(route))
    group = LayerGroup(senders, receivers)
    heard: list[list[float]] = []
    for turn in range(turns):
        said = torch.full((4, 1 << 16), 10.0 * turn + own.g)
        others = yield from group.exchange(turn, [said] * len(senders), Flag.NONE)
        assert all(tensor.unique().numel() == 1 for tensor in others)
        heard.append([tensor[0, 0].item() for tensor in others])
    return heard


# ── the contract ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("window", [1, 3])
def test_messages_arrive_in_the_order_of_turns(play: Play, window: int) -> None:
    route = road(spec(5), window=window)
    heads = [(4, Flag.NONE)] * 20
    _, heard = play(partial(say, route, heads), partial(hear, route, 20))
    assert heard == [(turn, 4, Flag.NONE) for turn in range(20)]


@pytest.mark.parametrize("window", [1, 2, 3])
def test_a_send_returns_once_the_window_before_was_asked_for(play: Play, window: int) -> None:
    """Neither earlier (`early`), nor later: then no sign would come, and both would wait."""
    route = road(spec(3), window=window)
    turns = window + 3
    _, early = play(partial(say_and_tell, route, turns), partial(hear_when_told, route, turns))
    assert early == []


def test_a_message_is_packed_before_its_sender_waits(play: Play) -> None:
    """So what packing takes, on a GPU the computation of the tensors, is not put down to a peer."""
    route = road(spec(3), window=1)
    _, heard = play(partial(say_and_spoil, route, 4), partial(hear, route, 4))
    assert heard == [(turn, 1, Flag.NONE) for turn in range(4)]


CASES = (
    road(spec(3, 4, 5)),
    road(spec(8, 6, 5, layout="channels_last")),
    road(spec(1, 6, 5, layout="channels_last"), spec(7, 1, 1, layout="channels_last")),
    road(spec(3, dtype="float64")),
    road(spec(3, 2, 2, dtype="bfloat16", layout="channels_last")),
    road(spec(dtype="int64")),
    road(spec(5, dtype="uint8"), spec(3, dtype="float64"), spec(1, dtype="bfloat16")),
    road(spec(3, 8, 8, dtype="float64", layout="channels_last"), spec(0), rows=1),
    road(),
    road(spec(1 << 18), window=1),
)


def say_cases(routes: Sequence[Route], heads: Heads, stage: Stage) -> Act:
    for route in routes:
        yield from say(route, [(min(rows, route.rows), flags) for rows, flags in heads], stage)


def hear_cases(routes: Sequence[Route], turns: int, stage: Stage) -> Act:
    heads: list[list[tuple[int, int, Flag]]] = []
    for route in routes:
        heads.append((yield from hear(route, turns, stage)))
    return heads


def test_any_shape_dtype_and_layout_arrives_as_it_was_sent(play: Play) -> None:
    routes = [replace(route, tag=tag) for tag, route in enumerate(CASES)]
    heads = [(4, Flag.NONE), (4, Flag.NONE), (1, Flag.NONE), (0, Flag.NONE), (0, Flag.STOP)]
    _, heard = play(partial(say_cases, routes, heads), partial(hear_cases, routes, 5))
    assert heard == [
        [(turn, min(rows, route.rows), flags) for turn, (rows, flags) in enumerate(heads)]
        for route in routes
    ]


def test_a_vote_carries_other_tensors_and_a_stop_none(play: Play) -> None:
    maps = spec(4, 3, 3, layout="channels_last")
    route = road(maps, voting=(maps, spec(3, 10, dtype="float64")), rows=8)
    heads = [
        (8, Flag.NONE),
        (5, Flag.NONE),
        (8, Flag.VOTE),
        (3, Flag.VOTE),
        (8, Flag.NONE),
        (0, Flag.STOP),
    ]
    _, heard = play(partial(say, route, heads), partial(hear, route, len(heads)))
    assert heard == [(turn, *head) for turn, head in enumerate(heads)]


def test_a_sender_may_change_its_tensors_as_soon_as_send_returns(play: Play) -> None:
    """`say` does, always; here the tensors are far from arrived when it does."""
    route = road(spec(1 << 18), window=3)
    _, heard = play(partial(say, route, [(4, Flag.NONE)] * 6), partial(hear_slowly_all, route, 6))
    assert heard == [(turn, 4, Flag.NONE) for turn in range(6)]


def hear_slowly_all(route: Route, turns: int, stage: Stage) -> Act:
    end = stage.transport.receiver(route)
    heads: list[tuple[int, int, Flag]] = []
    for turn in range(turns):
        time.sleep(0.03)
        heads.append(arrived(route, (yield from receive(end, turn))))
    return heads


def test_what_the_plan_does_not_say_is_refused_before_it_leaves(play: Play) -> None:
    route = road(spec(3), voting=(spec(3), spec(2)))
    refusals, heard = play(partial(say_nonsense, route), partial(hear, route, 1))
    assert set(refusals) == {
        "too few",
        "too many",
        "dtype",
        "shape",
        "fewer rows than it says",
        "more rows than planned",
        "tensors after the end",
        "a vote",
    }
    assert all("k0g0→k1g0 (features)" in refusal for refusal in refusals.values())
    assert heard == [(0, 2, Flag.NONE)]


def test_a_message_of_another_turn_names_both_modules(play: Play) -> None:
    route = road(spec(3), window=1)
    with pytest.raises(WrongMessage, match="k1g0 expects turn 0, k0g0 sent turn 7"):
        play(partial(say_turn, route, 7), partial(hear, route, 1))


def test_what_was_sent_before_a_close_arrives_at_a_slow_receiver(play: Play) -> None:
    route = road(spec(1 << 20))
    _, heard = play(partial(say_and_close, route, 4), partial(hear_slowly, route, 4))
    assert heard == [(turn, 1, Flag.NONE) for turn in range(4)]


@pytest.mark.parametrize("window", [1, 2])
def test_a_row_exchanges_large_tensors_without_blocking_itself(play: Play, window: int) -> None:
    grid = Grid(groups=(3,))
    routes = [
        road(spec(1 << 16), ends=ends, window=window, tag=tag)
        for tag, ends in enumerate(permutations(grid, 2))
    ]
    heard = play(*(partial(exchange, grid, own, routes, 3) for own in grid), grid=grid)
    for own, turns in zip(grid, heard, strict=True):
        assert turns == [[10.0 * t + g for g in range(3) if g != own.g] for t in range(3)]


# ── memory alone ─────────────────────────────────────────────────────────────────────────────


def test_in_one_process_a_full_window_is_not_ready_and_sending_is_a_deadlock() -> None:
    route = road(spec(3))
    with Memory() as transport:
        sender, receiver = transport.sender(route), transport.receiver(route)
        assert sender.ready() and not receiver.ready()
        with pytest.raises(Deadlock, match=r"k0g0→k1g0 \(features\): empty at turn 0"):
            receiver.receive(0)
        for turn in range(2):
            deliver(sender, message_of(route, turn, 1))
        assert receiver.ready() and not sender.ready()
        with pytest.raises(Deadlock, match=r"k0g0→k1g0 \(features\): full at turn 2"):
            deliver(sender, message_of(route, 2, 1))
        assert receiver.receive(0).turn == 0
        assert sender.ready()
        transport.close()
        transport.close()


# ── what only processes do to each other ─────────────────────────────────────────────────────

CROSS = Grid(groups=(1, 3))
LOST = Address(0, 0)
RECEIVES, SENDS, CLOSES = (
    road(spec(3), ends=(LOST, Address(1, 0)), tag=0),
    road(spec(3), ends=(Address(1, 1), LOST), tag=1),
    road(spec(3), ends=(Address(1, 2), LOST), tag=2),
)


def stand_there(stage: Stage) -> Act:
    """Open every end, use none."""
    stage.transport.sender(RECEIVES)
    stage.transport.receiver(SENDS)
    stage.transport.receiver(CLOSES)
    stage.signs.give("there")
    yield from stage.signs.until("never")


def wait_to_receive(stage: Stage) -> Act:
    end = stage.transport.receiver(RECEIVES)
    stage.signs.give("waits to receive")
    yield from receive(end, 0)


def wait_to_send(stage: Stage) -> Act:
    end = stage.transport.sender(SENDS)
    for turn in range(3):
        if turn == SENDS.window:
            stage.signs.give("waits to send")
        yield from send(end, message_of(SENDS, turn, 1))


def wait_to_close(stage: Stage) -> Act:
    end = stage.transport.sender(CLOSES)
    for turn in range(2):
        yield from send(end, message_of(CLOSES, turn, 1))
    stage.signs.give("waits to close")


def all_wait(children: Sequence[Child], folder: Path, backstop: timedelta) -> None:
    """Every process but the first waits for the first."""
    acts = (stand_there, wait_to_receive, wait_to_send, wait_to_close)
    begin(children, folder, *acts, grid=CROSS, backstop=backstop)
    for sign in ("there", "waits to receive", "waits to send", "waits to close"):
        Signs(folder).wait(sign)


def complaints_of(children: Sequence[Child]) -> list[str]:
    """How each process ended; only after it left its meeting does it say so."""
    complaints: list[str] = []
    for child in children:
        with pytest.raises(PeerLost) as caught:
            child.result()
        complaints.append(str(caught.value))
    return complaints


def test_whoever_waits_for_a_process_that_dies_learns_it_at_once(tmp_path: Path) -> None:
    with processes(4) as (lost, *others):
        all_wait((lost, *others), tmp_path, BACKSTOP)
        time.sleep(0.1)  # time to begin to wait
        began = time.monotonic()
        lost.kill()
        complaints = complaints_of(others)
        took = time.monotonic() - began
        with pytest.raises(Died, match="-9"):
            lost.result()
    assert took < SOON
    assert complaints[0].startswith("k0g0→k1g0 (features): lost k0g0 at turn 0: ")
    assert complaints[1].startswith("k1g1→k0g0 (features): lost k0g0 at turn 1: ")
    assert complaints[2].startswith("k1g2→k0g0 (features): lost k0g0 at turn 1: ")


def test_waiting_for_a_frozen_process_ends_at_the_backstop_and_says_so(tmp_path: Path) -> None:
    backstop = timedelta(seconds=4)
    with processes(4) as (lost, *others):
        all_wait((lost, *others), tmp_path, backstop)
        began = time.monotonic()
        lost.freeze()
        complaints = complaints_of(others)
        took = time.monotonic() - began
    assert took < backstop.total_seconds() + SOON
    assert all("lost k0g0 at turn " in complaint for complaint in complaints)
    assert all("timed out" in complaint.lower() for complaint in complaints)


def open_late(stage: Stage) -> Act:
    """Open an end, and wait at it, only when its other end is long gone."""
    stage.signs.give("there")
    yield from stage.signs.until("gone")
    yield from receive(stage.transport.receiver(road(spec(3), window=3)), 0)


def stand(stage: Stage) -> Act:
    stage.signs.give("there too")
    yield from stage.signs.until("never")


def test_an_end_that_opens_after_its_peer_died_says_who_is_lost(tmp_path: Path) -> None:
    signs = Signs(tmp_path)
    with processes(2) as (lost, other):
        begin((lost, other), tmp_path, stand, open_late)
        signs.wait("there")
        signs.wait("there too")
        lost.kill()
        signs.give("gone")
        with pytest.raises(PeerLost, match="lost k0g0 at turn 0"):
            other.result(SOON)


def hear_the_last_when_told(route: Route, stage: Stage) -> Act:
    """Receive the last message when its sender has closed, and the test has had its look."""
    end = stage.transport.receiver(route)
    heads: list[tuple[int, int, Flag]] = []
    for turn in range(4):
        if turn == 3:
            yield from stage.signs.until("closed")
            yield from stage.signs.until("go on")
        heads.append(arrived(route, (yield from receive(end, turn))))
    return heads


def test_no_process_leaves_before_everyone_is_done(tmp_path: Path) -> None:
    route = road(spec(1 << 20))
    signs = Signs(tmp_path)
    with processes(2) as (speaker, listener):
        begin(
            (speaker, listener),
            tmp_path,
            partial(say_and_close, route, 4),
            partial(hear_the_last_when_told, route),
        )
        signs.wait("closed")
        assert not speaker.answered(0.2)
        signs.give("go on")
        _, heard = results((speaker, listener))
    assert heard == [(turn, 1, Flag.NONE) for turn in range(4)]
