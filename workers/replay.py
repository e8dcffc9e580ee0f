"""Asynchronous DGL: a row whose predecessor is slow goes on learning from stored batches.

Of the batches that arrived last, a row reads a new one if there is one, else the freshest of those
it has read least (Belilovsky et al., ICML 2020, section 4; spec §4.2). What it reads depends on
time, so every read is written down: `read` in a module's metrics.jsonl is the turn in which the row
before sent the batch. The log, given as `reads`, makes the same run again, bit for bit.

Each row takes as many turns as the schedule has; an evaluation waits for the row before. A run that
is asked to stop ends at a turn of row 0, and the rows behind have then made more steps than that.
"""

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from torch import Tensor

from comm.channel import Receiver, Wait, receive
from comm.mailbox import Mailbox
from comm.message import Message
from workers.hearing import Heard, Hearing, Stop
from workers.schedule import Turn


@dataclass
class Stored:
    """One batch that arrived: sent in turn `turn`, of the images of `step`; read `uses` times."""

    turn: int
    step: int
    features: Tensor
    uses: int = 0


class Buffer:
    """The last `size` batches that arrived, the oldest first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.batches: list[Stored] = []

    def store(self, batch: Stored) -> None:
        """Keep a batch; the oldest makes room."""
        self.batches.append(batch)
        del self.batches[: -self.size]

    def wants(self, arrived: bool) -> bool:
        """Whether to take a new batch before reading: if there is one, or none yet."""
        return arrived or not self.batches

    def read(self) -> Stored:
        """The freshest of those that were read least."""
        least = min(batch.uses for batch in self.batches)
        chosen = [batch for batch in self.batches if batch.uses == least][-1]
        chosen.uses += 1
        return chosen


class Logged:
    """Reads as a log says: the turns in which the batches were sent, one per own step."""

    def __init__(self, reads: Sequence[int]) -> None:
        self.reads = iter(reads)
        self.uses = Counter(reads)
        self.next = next(self.reads, None)
        self.batches: dict[int, Stored] = {}

    def store(self, batch: Stored) -> None:
        """Keep a batch if it is ever read."""
        if self.uses[batch.turn]:
            self.batches[batch.turn] = batch

    def wants(self, arrived: bool) -> bool:
        """Whether the batch to read has not come yet."""
        return self.next not in self.batches

    def read(self) -> Stored:
        """The batch that was read at this point."""
        assert self.next is not None
        batch = self.batches[self.next]
        self.uses[self.next] -= 1
        if not self.uses[self.next]:
            del self.batches[self.next]
        self.next = next(self.reads, None)
        return batch


@dataclass
class Rereading(Hearing):
    """Hears the row before through a buffer. Rows of one module, without contexts."""

    def __post_init__(self) -> None:
        (end,) = self.ports.heard
        reads = None if self.job.reads is None else self.job.reads[self.plan.address]
        self._end: Receiver = Mailbox(end, len(self.job.schedule)) if end.blocks else end
        self._store = Buffer(self.job.plan.replay) if reads is None else Logged(reads)
        self._arrived = 0  # turns heard so far

    def hear(self, turn: Turn) -> Generator[Wait, None, Heard | Stop]:
        """A batch of the reader's choice; when voting, the row before's own."""
        if turn.learns:
            # Within one process the row before only gets on while we wait: wait for each batch.
            fresh = self._end.ready() or not self._end.blocks
            while self._store.wants(fresh):
                message = yield from self._take()
                if message.stop:
                    return Stop(message.step)
                self._keep(turn, message)
                fresh = False
            batch = self._store.read()
            inbox = self.inbox(turn, batch.features, self.images(turn, batch.step), batch.step)
            return Heard(inbox, read=batch.turn)
        while True:
            message = yield from self._take()
            if message.stop:
                return Stop(message.step)
            if message.turn == turn.index:
                break
            self._keep(None, message)
        self.check(turn, [message], [self._end])
        inbox = self.inbox(turn, message.tensors[0], self.images(turn, turn.step), turn.step)
        return Heard(inbox, message.tensors[1])

    def done(self) -> Generator[Wait, None, Stop | None]:
        """The row before may still have batches to send: nobody reads them."""
        while self._arrived < len(self.job.schedule):
            message = yield from self._take()
            if message.stop:
                return Stop(message.step)
        return None

    def _take(self) -> Generator[Wait, None, Message]:
        message = yield from receive(self._end, self._arrived)
        self._arrived += 1
        return message

    def _keep(self, turn: Turn | None, message: Message) -> None:
        if turn is not None:
            self.check(turn, [message], [self._end])
        # Both kinds of ends, a mailbox and memory, hand over tensors that nobody else writes to.
        self._store.store(Stored(message.turn, message.step, message.tensors[0]))
