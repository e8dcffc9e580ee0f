"""Reports arrive as they were told; whoever tells them never waits, and garbage hurts nobody."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import enumerate as enumerate_threads
from typing import Any, get_args

import msgspec
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comm import telemetry
from comm.errors import BadInput
from comm.telemetry import (
    QUEUED,
    SOCKET_PATH_LIMIT,
    Beat,
    Evaluated,
    Listener,
    ModuleBeat,
    Report,
    Reporter,
    Started,
    endpoint,
)

pytestmark = pytest.mark.timeout(60)

PATIENCE = 10.0  # seconds; what arrives does so in milliseconds
NEVER = 3600.0  # seconds between beats
QUIET: dict[str, Any] = {"doing": "starting", "waiting": False, "still": 0.0, "asked": False}
SILENT = Beat(rank=0, modules=[], resident=0, **QUIET)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path)
    yield listener
    listener.close()


def heard_until(listener: Listener, enough: Callable[[list[Report]], bool]) -> list[Report]:
    """All reports, up to those with which it is enough."""
    heard: list[Report] = []
    deadline = time.monotonic() + PATIENCE
    while not enough(heard) and time.monotonic() < deadline:
        heard += listener.reports(0.1)
    return heard


def silent() -> Beat:
    return SILENT


def told(folder: Path, *reports: Report) -> None:
    """Tell them from a reporter that ends at once."""
    with Reporter(folder, silent, interval=NEVER) as reporter:
        for report in reports:
            reporter.tell(report)


FIELDS = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    str: st.text(),
    str | None: st.none() | st.text(),
    float | None: st.none() | st.floats(allow_nan=False),
    dict[str, float]: st.dictionaries(st.text(), st.floats(allow_nan=False)),
    tuple[float | None, ...]: st.lists(st.none() | st.floats(allow_nan=False)).map(tuple),
}


def drawn(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any report of this kind."""
    fields = msgspec.structs.fields(kind)
    return st.builds(kind, **{field.name: FIELDS[field.type] for field in fields})


FIELDS[list[ModuleBeat]] = st.lists(drawn(ModuleBeat), max_size=3)
REPORTS = st.one_of(*map(drawn, get_args(Report)))


@settings(deadline=None)
@given(REPORTS)
def test_every_report_reads_as_it_was_written(report: Report) -> None:
    assert telemetry._decode(telemetry._encode(report)) == report


MODULE = ModuleBeat(
    address="k1g0",
    word="waiting for k0g0 at step 812",
    now="waiting for k0g0",
    done=False,
    waits_for="k0g0",
    turn=820,
    step=812,
    epoch=3,
    turns=820,
    images=104_960,
    still=0.25,
    seconds=61.5,
    learning=61.5,
    waited={"k0g0": 3.5, "k2g1": 0.0},
    loss=1.25,
    accuracy=None,
)
TOLD = (
    Started(rank=3, private=11 << 20),
    Beat(rank=2, modules=[MODULE, MODULE], resident=1 << 33, **QUIET),
    Evaluated(
        epoch=3, step=812, split="test", rows=(41.5, 60.0), head=None, ensemble=62.5, loss=1.5
    ),
)


def test_every_report_arrives_in_the_order_it_was_told(listener: Listener, tmp_path: Path) -> None:
    told(tmp_path, *TOLD)
    heard = heard_until(listener, lambda heard: TOLD[-1] in heard)
    assert [report for report in heard if report != SILENT] == list(TOLD)  # beats come between


def test_whatever_was_told_is_heard_by_a_listener_that_was_slow(tmp_path: Path) -> None:
    """Also what is still on its way when its reporter ends."""
    many = QUEUED // 4
    with closing(Listener(tmp_path)) as listener:
        told(tmp_path, *[TOLD[1]] * many)
        heard = heard_until(listener, lambda heard: heard.count(TOLD[1]) == many)
    assert heard.count(TOLD[1]) == many


def test_the_first_beat_comes_at_once(listener: Listener, tmp_path: Path) -> None:
    with Reporter(tmp_path, silent, interval=NEVER):
        assert heard_until(listener, bool) == [SILENT]


def test_a_beat_comes_by_itself_and_tells_the_state_of_its_moment(
    listener: Listener, tmp_path: Path
) -> None:
    count = iter(range(1000))

    def snapshot() -> Beat:
        return Beat(rank=next(count), modules=[], resident=0, **QUIET)

    with Reporter(tmp_path, snapshot, interval=0.01):
        heard = heard_until(listener, lambda heard: len(heard) >= 5)
    assert [beat.rank for beat in heard if isinstance(beat, Beat)] == list(range(len(heard)))


def test_many_reporters_are_heard_at_once(listener: Listener, tmp_path: Path) -> None:
    with ExitStack() as stack:
        for rank in range(8):
            beat = Beat(rank=rank, modules=[], resident=0, **QUIET)
            stack.enter_context(Reporter(tmp_path, lambda beat=beat: beat, interval=0.02))
        heard = heard_until(listener, lambda heard: len({b.rank for b in heard}) == 8)
    assert {beat.rank for beat in heard} == set(range(8))


def test_a_reporter_may_come_before_its_listener(tmp_path: Path) -> None:
    with Reporter(tmp_path, silent, interval=0.02) as reporter:
        reporter.tell(TOLD[0])
        time.sleep(0.1)
        with closing(Listener(tmp_path)) as listener:
            heard = heard_until(listener, lambda heard: TOLD[0] in heard)
    assert TOLD[0] in heard


def test_a_reporter_never_waits_when_nobody_listens(tmp_path: Path) -> None:
    """Not while it tells more than is ever queued, not while it beats, and hardly at its end."""
    with Reporter(tmp_path, silent, interval=0.001) as reporter:
        began = time.monotonic()
        for _ in range(3 * QUEUED):
            reporter.tell(TOLD[1])
        telling = time.monotonic() - began
        time.sleep(0.2)
        began = time.monotonic()
    assert telling < 1
    assert time.monotonic() - began < 5  # half a second for the last words, two at most
    assert not any(thread.name == "reporter" for thread in enumerate_threads())


def test_a_listener_that_ends_leaves_its_reporters_unharmed(tmp_path: Path) -> None:
    with Reporter(tmp_path, silent, interval=0.01) as reporter:
        with closing(Listener(tmp_path)) as listener:
            assert heard_until(listener, bool)
        reporter.tell(TOLD[0])
        with closing(Listener(tmp_path)) as listener:
            reporter.tell(TOLD[2])
            assert TOLD[2] in heard_until(listener, lambda heard: TOLD[2] in heard)


def test_listening_ends_when_the_time_is_up(listener: Listener) -> None:
    began = time.monotonic()
    assert listener.reports(0.1) == []
    assert 0.05 < time.monotonic() - began < PATIENCE


# ── what is no report ────────────────────────────────────────────────────────────────────────

GOOD = msgspec.msgpack.encode(msgspec.to_builtins(TOLD[2]))
GARBAGE = {
    "nothing": b"",
    "no msgpack": b"\xc1",
    "another type": msgspec.msgpack.encode({"type": "Pickle", "rank": 0}),
    "a field of another type": msgspec.msgpack.encode(
        {"type": "Started", "rank": "three", "private": 0}
    ),
    "too few fields": msgspec.msgpack.encode({"type": "Started", "rank": 0}),
    "cut short": GOOD[:-3],
    "text that is not UTF-8": GOOD.replace(b"test", b"\xff\xfe\xfd\xfc"),
    "a tag that is not UTF-8": GOOD.replace(b"Evaluated", b"\xff" * 9),
    "a bottomless list": b"\x82\xa4type\xa4Beat\xa1x" + 100_000 * b"\x91",
    "an endless list": b"\x82\xa4type\xa4Beat\xa7modules\xdd\xff\xff\xff\xff",
    "a pickle": b"cos\nsystem\n(S'false'\ntR.",
}


@pytest.fixture
def stranger(tmp_path: Path, listener: Listener) -> Iterator[zmq.Socket[bytes]]:
    """Someone who found the listener's socket."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as stranger:
        stranger.connect(endpoint(tmp_path))
        yield stranger


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_is_dropped_and_the_next_report_heard(
    listener: Listener, stranger: zmq.Socket[bytes], what: str
) -> None:
    stranger.send(GARBAGE[what])
    stranger.send_multipart([GARBAGE[what], b"", GOOD])
    assert heard_until(listener, bool) == [TOLD[2]]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.binary().map(lambda tail: GOOD[: len(GOOD) // 2] + tail))
def test_random_bytes_are_dropped(
    listener: Listener, stranger: zmq.Socket[bytes], garbage: bytes
) -> None:
    stranger.send(garbage)
    stranger.send(GOOD)
    assert heard_until(listener, bool) == [TOLD[2]]


def test_whoever_does_not_even_speak_zmq_is_hung_up_on(listener: Listener, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(endpoint(tmp_path).removeprefix("ipc://"))
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: k0g0\r\n\r\n" * 100)
        told(tmp_path, TOLD[0])
        assert TOLD[0] in heard_until(listener, lambda heard: TOLD[0] in heard)


# ── the socket's path ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room; pytest's own may be long."""
    with TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def folder_for(start: Path, size: int) -> Path:
    """A folder under `start`, not made yet, whose socket's path has this many bytes."""
    room = size - len(os.fsencode(start)) - len("//telemetry")
    return start / ("ä" * (room // 2) + "a" * (room % 2))  # two bytes each: bytes count


def test_a_path_that_the_kernel_takes_is_listened_at(short: Path) -> None:
    folder = folder_for(short, SOCKET_PATH_LIMIT)
    folder.mkdir()
    with closing(Listener(folder)) as listener:
        told(folder, TOLD[0])
        assert TOLD[0] in heard_until(listener, lambda heard: TOLD[0] in heard)


def test_a_path_that_is_too_long_is_refused_with_the_way_out(short: Path) -> None:
    folder = folder_for(short, SOCKET_PATH_LIMIT + 1)
    for refuse in (endpoint, Listener, lambda folder: Reporter(folder, silent, interval=1)):
        with pytest.raises(BadInput, match=r"too long .* set TMPDIR to a shorter one"):
            refuse(folder)
