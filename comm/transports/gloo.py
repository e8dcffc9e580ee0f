"""Messages between processes: torch.distributed point-to-point over gloo.

What gloo leaves to its caller, and how it is met here:

- A send completes only when its receive is posted. So a receiver posts `window - 1` frames ahead
  and the next one when asked, a sender waits for its last send before the next: `send(t)` returns
  once `receive(t - window)` was asked for.
- A tensor must not change until its send completes, and a dropped handle loses the message: every
  end owns its frames and holds every handle until it is done.
- A wait can not be polled, and one that times out closes the pair for good: `ready` is False, and
  gloo's time-out is a backstop of minutes, never a poll.
- A receive that was posted for a message that never comes is left behind at the end: the peer's
  STOP or the schedule's end tell that nothing follows, and the group is destroyed with it.
"""

from collections import deque
from dataclasses import replace
from types import TracebackType
from typing import Self

import torch
import torch.distributed as dist
from torch import Tensor

from comm import frame
from comm.address import Address, Grid
from comm.device import Landing
from comm.errors import PeerLost
from comm.frame import Era
from comm.message import Message, check_outgoing
from comm.route import Route


def _lost(route: Route, peer: Address, turn: int, error: RuntimeError) -> PeerLost:
    reason = str(error).strip().splitlines()[-1].split(". This is typically")[0]
    return PeerLost(f"{route} ({route.name}): lost {peer} at turn {turn}: {reason}")


def _wait(work: dist.Work, route: Route, peer: Address, turn: int) -> None:
    try:
        work.wait()
    except RuntimeError as error:
        raise _lost(route, peer, turn, error) from error


def _post(operation: dist.Work | None) -> dist.Work:
    assert operation is not None  # None only for a rank outside of the group
    return operation


class GlooSender:
    """The sending end: one frame under way, one being written."""

    blocks = True

    def __init__(self, route: Route, rank: int, era: Era, landing: Landing) -> None:
        self.route = route
        self._rank = rank
        self._era = era
        self._frames = [frame.allocate(route, pinned=landing.pinned) for _ in range(2)]
        self._packed: tuple[Tensor, int] | None = None  # what to send, and its turn
        self._pending: tuple[dist.Work, int] | None = None

    def ready(self) -> bool:
        """Only when nothing is under way: gloo can not be asked."""
        return self._pending is None

    def pack(self, message: Message) -> None:
        """Write a frame while the last one travels."""
        check_outgoing(self.route, message)
        self._frames.reverse()
        data = frame.pack(self._frames[0], self.route, message, self._era)
        self._packed = data, message.turn

    def send(self) -> None:
        """Wait until the last frame has gone, then send the one that was packed."""
        assert self._packed is not None, f"{self.route}: nothing is packed"
        (data, turn), self._packed = self._packed, None
        self._finish()
        try:
            work = _post(dist.isend(data, self._rank, tag=self.route.tag))
        except RuntimeError as error:
            raise _lost(self.route, self.route.target, turn, error) from error
        self._pending = work, turn

    def _finish(self) -> None:
        if self._pending is not None:
            (work, turn), self._pending = self._pending, None
            _wait(work, self.route, self.route.target, turn)

    def close(self) -> None:
        """Wait until the last message has arrived."""
        self._finish()


class GlooReceiver:
    """The receiving end: `window` frames, all but one posted ahead."""

    blocks = True

    def __init__(self, route: Route, rank: int, era: Era, landing: Landing) -> None:
        self.route = route
        self._rank = rank
        self._era = era
        self._landing = landing
        self._free: deque[Tensor] = deque(
            frame.allocate(route, pinned=landing.pinned) for _ in range(route.window)
        )
        self._posted: deque[tuple[dist.Work, Tensor]] = deque()
        self._current: Tensor | None = None
        self._fill(route.window - 1, turn=0)

    def _fill(self, count: int, *, turn: int) -> None:
        while len(self._posted) < count:
            empty = self._free.popleft()
            try:
                work = _post(dist.irecv(empty, self._rank, tag=self.route.tag))
            except RuntimeError as error:
                raise _lost(self.route, self.route.source, turn, error) from error
            self._posted.append((work, empty))

    def ready(self) -> bool:
        """Gloo can not be asked."""
        return False

    def receive(self, turn: int) -> Message:
        """Post one more frame, wait for the oldest."""
        self._landing.free()
        if self._current is not None:
            self._free.append(self._current)
            self._current = None
        self._fill(self.route.window, turn=turn)
        work, arrived = self._posted.popleft()
        _wait(work, self.route, self.route.source, turn)
        self._current = arrived
        message = frame.unpack(arrived, self.route, turn=turn, era=self._era)
        return replace(message, tensors=self._landing.land(message.tensors))

    def close(self) -> None:
        """Take nothing more; frames posted ahead stay alive until the group is destroyed."""


class Gloo:
    """The transport between the processes of a grid, after they have met (`comm.rendezvous`)."""

    def __init__(self, grid: Grid, era: Era, device: torch.device) -> None:
        self._grid = grid
        self._era = era
        self._device = device
        self._ends: list[GlooSender | GlooReceiver] = []

    def sender(self, route: Route) -> GlooSender:
        """The sending end of `route`."""
        end = GlooSender(route, self._grid.rank(route.target), self._era, Landing(self._device))
        self._ends.append(end)
        return end

    def receiver(self, route: Route) -> GlooReceiver:
        """The receiving end of `route`."""
        end = GlooReceiver(route, self._grid.rank(route.source), self._era, Landing(self._device))
        self._ends.append(end)
        return end

    def close(self) -> None:
        """Wait until everything sent has arrived."""
        for end in self._ends:
            end.close()
        self._ends.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
