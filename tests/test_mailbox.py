"""A mailbox takes no more ahead than it says, keeps what it took, and ends with its sender."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import enumerate as enumerate_threads

import pytest

from comm.channel import send
from comm.errors import WrongMessage
from comm.mailbox import Mailbox
from comm.message import Flag, Message
from comm.route import Route
from tests.plays import Act, Stage, arrived, message_of, play_over_gloo, road, spec

pytestmark = pytest.mark.timeout(60)

WINDOW = 2
AHEAD = 2 * WINDOW + 1  # in the mailbox, one in its thread's hand, and under way
TURNS = AHEAD + 3
FOREVER = 100  # more turns than there are


def say(route: Route, stage: Stage) -> Act:
    end = stage.transport.sender(route)
    for turn in range(TURNS):
        yield from send(end, message_of(route, turn, 4))
        stage.signs.give(f"sent {turn}")
    yield from send(end, Message(turn=TURNS, flags=Flag.STOP))


def take(route: Route, stage: Stage) -> Act:
    """Ask for nothing while messages come; then take all, and look at them only at the end."""
    mailbox = Mailbox(stage.transport.receiver(route), FOREVER)
    while not mailbox.ready():
        yield None
    yield from stage.signs.until(f"sent {AHEAD - 1}")
    time.sleep(0.1)  # time for a send to return that must not
    early = stage.signs.given(f"sent {AHEAD}")
    taken: list[Message] = []
    while not taken or not taken[-1].stop:
        taken.append(mailbox.receive(len(taken)))
    heads = [arrived(route, message) for message in taken]
    until = time.monotonic() + 5
    while listening() and time.monotonic() < until:
        yield None
    return early, heads, listening()


def listening() -> list[str]:
    return [thread.name for thread in enumerate_threads() if thread.name.startswith("mailbox")]


def test_it_takes_its_window_ahead_keeps_it_and_listens_to_a_stop(tmp_path: Path) -> None:
    route = road(spec(5), window=WINDOW)
    _, (early, heads, still) = play_over_gloo(tmp_path, partial(say, route), partial(take, route))
    assert not early
    assert heads == [*((turn, 4, Flag.NONE) for turn in range(TURNS)), (TURNS, 0, Flag.STOP)]
    assert still == [], "nothing follows a STOP, and nobody waits for it"


def say_strangely(route: Route, stage: Stage) -> Act:
    yield from send(stage.transport.sender(route), replace(message_of(route, 0, 1), turn=3))


def take_strangely(route: Route, stage: Stage) -> Act:
    mailbox = Mailbox(stage.transport.receiver(route), FOREVER)
    while not mailbox.ready():
        yield None
    mailbox.receive(0)


def test_what_goes_wrong_in_its_thread_is_told_to_whoever_waits(tmp_path: Path) -> None:
    route = road(spec(5), window=1)
    with pytest.raises(WrongMessage, match="k1g0 expects turn 0, k0g0 sent turn 3"):
        play_over_gloo(tmp_path, partial(say_strangely, route), partial(take_strangely, route))
