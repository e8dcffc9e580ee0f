"""What processes say about themselves, beside the tensors' road: one way, never waiting.

    worker process   Reporter ── PUSH ──▶ ipc socket in the session folder ── PULL ──▶ Listener

Messages are msgpack with a schema. A heartbeat carries the state word of every module a process
hosts; it is sent by a thread of its own, so it also comes while the module waits, and stops when
the process is frozen. When nobody listens, messages are dropped.
"""

from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Self

import msgspec
import zmq

from comm.closing import Closing
from comm.errors import BadInput

SOCKET_PATH_LIMIT = 107  # bytes, of the kernel's sockaddr_un
QUEUED = 1000  # messages kept for a listener that is slow


class ModuleBeat(msgspec.Struct, frozen=True, kw_only=True):
    """One module's state: `word` within a sentence, `now` in a table.

    Seconds are sums over the turns that are over; `still` is since what it does last changed.
    """

    address: str
    word: str
    now: str
    done: bool
    waits_for: str | None
    turn: int
    step: int
    epoch: int
    turns: int
    images: int
    still: float
    seconds: float
    learning: float
    waited: dict[str, float]
    loss: float | None
    accuracy: float | None


class Beat(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A process is alive; `resident` is its memory in bytes.

    `doing` says what it does as a whole, for `still` seconds; `waiting`, that only other processes
    can end that; `asked`, that somebody has asked this process to end the run.
    """

    rank: int
    doing: str
    waiting: bool
    still: float
    asked: bool
    modules: list[ModuleBeat]
    resident: int


class Started(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A process is connected and begins; `private` is memory that it shares with nobody."""

    rank: int
    private: int


class Evaluated(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An evaluation was counted: accuracies in percent."""

    epoch: int
    step: int
    split: str
    rows: tuple[float | None, ...]
    head: float | None
    ensemble: float
    loss: float
    member: float | None = None


Report = Beat | Started | Evaluated
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Report).decode


def endpoint(folder: Path) -> str:
    """The socket in a session folder. Raises BadInput where the kernel would refuse the path."""
    path = folder / "telemetry"
    if len(bytes(path)) > SOCKET_PATH_LIMIT:
        raise BadInput(
            [f"the path of the telemetry socket is too long ({path}): set TMPDIR to a shorter one"]
        )
    return f"ipc://{path}"


class Reporter(Closing):
    """Sends a beat every `interval` seconds, and whatever is told to it, from its own thread."""

    def __init__(self, folder: Path, snapshot: Callable[[], Beat], *, interval: float) -> None:
        self._endpoint = endpoint(folder)
        self._snapshot, self._interval = snapshot, interval
        self._told: SimpleQueue[Report] = SimpleQueue()
        self._wake, self._ended = Event(), False
        self._thread = Thread(target=self._run, name="reporter", daemon=True)

    def tell(self, report: Report) -> None:
        """Send `report` soon; returns at once."""
        self._told.put(report)
        self._wake.set()

    def _run(self) -> None:
        context = zmq.Context()
        socket = context.socket(zmq.PUSH)
        socket.set(zmq.SNDHWM, QUEUED)
        socket.set(zmq.LINGER, 500)  # ms to hand over the last words
        socket.connect(self._endpoint)
        while True:
            self._wake.wait(self._interval)
            self._wake.clear()
            ended = self._ended
            reports: list[Report] = []
            while True:
                try:
                    reports.append(self._told.get_nowait())
                except Empty:
                    break
            for report in (*reports, self._snapshot()):
                try:
                    socket.send(_encode(report), zmq.DONTWAIT)
                except zmq.Again:
                    break
            if ended:
                break
        socket.close()
        context.term()

    def __enter__(self) -> Self:
        self._wake.set()  # the first beat at once: from then on, silence tells
        self._thread.start()
        return self

    def close(self) -> None:
        """Send what was told, and end the thread."""
        self._ended = True
        self._wake.set()
        self._thread.join(timeout=2)


class Listener:
    """Receives the reports of all processes."""

    def __init__(self, folder: Path) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.bind(endpoint(folder))

    def reports(self, timeout: float) -> list[Report]:
        """What has arrived, waiting `timeout` seconds at most. What is no report is dropped."""
        found: list[Report] = []
        wait = int(1000 * timeout)
        while self._socket.poll(wait):
            wait = 0
            try:
                found.append(_decode(self._socket.recv()))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
        return found

    def close(self) -> None:
        """Stop listening."""
        self._socket.close(linger=0)
        self._context.term()
