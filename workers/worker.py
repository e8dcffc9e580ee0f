"""One module's life: turn after turn, it hears, learns, says, and writes down.

    receive    features of the row before                          row 0: permit, and the images
    learn      drive the method's step: send ahead, exchange …     evaluation: vote
    update     backward, clip, SGD                                 evaluation: fill in the ballot
    record     one line; a checkpoint where one is due

A worker waits only at the ends of routes, and says so first by yielding a `Wait`; `drive` goes on.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, TypeVar

import torch
from torch import Tensor

from comm.address import Address
from comm.channel import Receiver, Sender, Wait, Waits, receive, send
from comm.errors import Diverged, WrongMessage
from comm.message import Flag, Message
from comm.ports import Ports
from partition.build import LocalModule, build
from workers import checkpoint
from workers.ballot import Tally, merged
from workers.job import Job
from workers.optim import LearningRate, optimizer
from workers.record import Recorder
from workers.schedule import Schedule, Turn
from workers.state import DONE, State
from workers.step import Exchange, Inbox, SendAhead, SendContext, Step
from workers.update import update

T = TypeVar("T")


@dataclass(frozen=True)
class _Heard:
    """What a turn begins with: the module's input, and when voting the row before's ballots."""

    inbox: Inbox
    ballots: list[Tensor]


def _joined(messages: Sequence[Message]) -> Tensor:
    """The features of a row's groups, in group order."""
    parts = [message.tensors[0] for message in messages]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def never() -> bool:
    """No one asks this run to stop."""
    return False


class Worker:
    """Drives the steps of one module and does their travelling.

    `asked_to_stop` is consulted by k0g0 alone: it ends the run by sending STOP ahead of the turn it
    does not begin, and every other module ends when STOP reaches it, so all end at the same turn.
    """

    def __init__(
        self,
        job: Job,
        address: Address,
        ports: Ports,
        recorder: Recorder,
        *,
        asked_to_stop: Callable[[], bool] = never,
    ) -> None:
        self.job, self.address, self.ports, self.recorder = job, address, ports, recorder
        self.state = State(address)
        self.stopped_at: int | None = None
        self._asked_to_stop = asked_to_stop
        self.module: LocalModule = build(job.plan, address, seed=job.seed, device=job.device)
        self.optimizer = optimizer(self.module.parameters(), job.optim)
        self._rate = LearningRate(
            config=job.optim, batch=job.plan.batch, steps_per_epoch=job.feed.steps_per_epoch
        )
        self._peers = len(job.plan.grid.rows[address.k]) - 1
        self._counts = address == job.plan.grid.rows[-1][0]
        self._tally = self._new_tally()
        if job.start and job.checkpoints:
            checkpoint.restore(
                job.checkpoints,
                self.module,
                self.optimizer,
                address=address,
                turn=job.start,
                plan=job.plan.digest,
            )

    def evaluating(self, schedule: Schedule) -> "Worker":
        """The same module, to evaluate and nothing else."""
        self.job = replace(self.job, schedule=schedule, start=0, checkpoints=None)
        return self

    def life(self) -> Waits:
        """All turns, from `job.start` to the end of the schedule or to STOP."""
        for turn in self.job.schedule.turns(self.job.start):
            began, waited = perf_counter(), sum(self.state.waited.values())
            self.state.turn = turn
            heard = yield from self._timed(self._hear(turn))
            if heard is None:
                yield from self._timed(self._pass_on_stop(turn))
                self.stopped_at = turn.index
                break
            if turn.learns:
                yield from self._learn(turn, heard)
            else:
                yield from self._vote(turn, heard)
            waited = sum(self.state.waited.values()) - waited
            self.state.took(perf_counter() - began, waited, learning=turn.learns)
            if self._save_due(turn):
                self._save(turn.index + 1, turn.step + 1)
        end = len(self.job.schedule) if self.stopped_at is None else self.stopped_at
        last = self.state.turn
        if end > self.job.start and last is not None:
            trained = last.step + (last.learns and self.stopped_at is None)
            self._save(end, trained)
        self.state.does(DONE)

    # ── receive ──────────────────────────────────────────────────────────────────────────────

    def _hear(self, turn: Turn) -> Generator[Wait, None, _Heard | None]:
        """The input of this turn, or None if the run ends before it."""
        if self.address.k == 0:
            return (yield from self._begin(turn))
        messages = yield from self._messages(turn, self.ports.heard)
        if messages is None:
            return None
        inputs = {0: self._image(turn)} if self.module.plan.needs_image else {}
        for k, ends in self.ports.contexts.items():
            heard = yield from self._messages(turn, ends)
            assert heard is not None  # who stops says so ahead, and that is heard first
            inputs[k] = _joined(heard)
        inbox = self._inbox(_joined(messages), inputs)
        ballots = [] if turn.learns else [message.tensors[1] for message in messages]
        return _Heard(inbox, ballots)

    def _messages(
        self, turn: Turn, ends: Sequence[Receiver]
    ) -> Generator[Wait, None, list[Message] | None]:
        """One message from each end, or None if one says STOP. Raises WrongMessage."""
        messages: list[Message] = []
        for end in ends:
            messages.append((yield from receive(end, turn.index)))
        if any(message.stop for message in messages):
            return None
        rows = self._rows(turn)
        for message, end in zip(messages, ends, strict=True):
            if message.rows != rows or (Flag.VOTE in message.flags) == turn.learns:
                raise WrongMessage(
                    f"{end.route}: {message.rows} rows ({message.flags!r}) arrived for {turn}, "
                    f"expected {rows}"
                )
        return messages

    def _image(self, turn: Turn) -> Tensor:
        """The batch's images, normalised: every module that needs them computes the same."""
        feed = self.job.feed
        if turn.split is None:
            images = feed.images(turn.step)
        else:
            images = feed.eval_images(turn.split, turn.batch)
        layout = torch.channels_last if self.job.plan.channels_last else torch.contiguous_format
        return images.to(self.job.device, memory_format=layout)

    def _inbox(self, features: Tensor, inputs: Mapping[int, Tensor]) -> Inbox:
        """What the method finds; `inputs` has what earlier rows read, row 0 the images."""
        plan = self.module.plan
        return Inbox(
            features=features,
            contexts=tuple(inputs[context.source] for context in plan.contexts),
            pixels=self.job.feed.denormalised(inputs[0]) if plan.decodes else None,
        )

    def _begin(self, turn: Turn) -> Generator[Wait, None, _Heard | None]:
        """Row 0: leave to begin, and the images."""
        if self.ports.permit is not None:
            if (yield from receive(self.ports.permit, turn.index)).stop:
                return None
        elif (turn.learns or turn.first) and self._asked_to_stop():
            return None
        for end in self.ports.permits:
            yield from send(end, Message(turn=turn.index))
        image = self._image(turn)
        return _Heard(self._inbox(image, {0: image}), [])

    def _pass_on_stop(self, turn: Turn) -> Waits:
        for end in (*self.ports.permits, *self.ports.ahead):
            yield from send(end, Message(turn=turn.index, flags=Flag.STOP))

    def _rows(self, turn: Turn) -> int:
        feed = self.job.feed
        if turn.split is None:
            return feed.rows(turn.step)
        return len(feed.eval_labels(turn.split, turn.batch))

    # ── learn, vote ──────────────────────────────────────────────────────────────────────────

    def _learn(self, turn: Turn, heard: _Heard) -> Waits:
        self.state.does("learning")
        self.module.train()
        self.module.begin(turn.step)
        labels = self.job.feed.labels(turn.step).to(self.job.device)
        step = self.job.method.learn(self.module, heard.inbox, labels)
        lesson = yield from self._travel(turn, step)
        values = update(
            self.module,
            self.optimizer,
            lesson,
            rate=self._rate(turn.step),
            clip_norm=self.job.optim.clip_norm,
        )
        if lesson.logits is not None:
            right = (lesson.logits.detach().argmax(dim=1) == labels).sum().item()
            values["accuracy"] = 100 * right / len(labels)
        self.recorder.lesson(turn=turn.index, step=turn.step, epoch=turn.epoch, values=values)
        self.state.loss, self.state.accuracy = values["loss"], values.get("accuracy")
        self.state.images += len(labels)

    @torch.no_grad()  # holds whenever this generator runs, and only then
    def _voice(self, turn: Turn, heard: _Heard) -> Generator[Wait, None, tuple[Tensor, Tensor]]:
        """The features to pass on, and the ballot with this module's vote on it."""
        vote = yield from self._travel(turn, self.job.method.vote(self.module, heard.inbox))
        predictors = self.job.plan.predictors
        if heard.ballots:
            ballot = merged(heard.ballots)
        else:
            empty = len(vote.features), len(predictors), self.module.classes
            ballot = vote.features.new_zeros(empty)
        if vote.logits is not None:
            ballot[:, predictors.index(self.address.k)] = torch.softmax(vote.logits, dim=1)
        return self.module.outlet(vote.features), ballot

    def _vote(self, turn: Turn, heard: _Heard) -> Waits:
        assert turn.split is not None
        self.state.does("voting")
        self.module.eval()
        features, ballot = yield from self._voice(turn, heard)
        message = Message(
            turn=turn.index, rows=len(ballot), flags=Flag.VOTE, tensors=(features, ballot)
        )
        for end in self.ports.ahead:
            yield from self._timed(send(end, message))
        own = ballot[:, -1]
        if "ballots" in self.ports.groups:  # a last row without a read-out head counts together
            group = self.ports.groups["ballots"]
            shown = [ballot] * self._peers
            others = yield from self._timed(group.exchange(turn.index, shown, Flag.VOTE))
            ballot = merged([ballot, *others])
        if self._counts:
            self._count(turn, ballot, own)

    def _new_tally(self) -> Tally:
        return Tally(voters=self.job.plan.predictors, depth=self.job.plan.grid.depth)

    def _count(self, turn: Turn, ballot: Tensor, own: Tensor) -> None:
        assert turn.split is not None
        if turn.first:
            self._tally = self._new_tally()
        if not torch.isfinite(ballot).all():
            raise Diverged("a vote is not finite; try a lower --lr or --clip-norm")
        labels = self.job.feed.eval_labels(turn.split, turn.batch).to(ballot.device)
        self._tally.add(ballot, labels, own)
        if turn.last:
            result = self._tally.result(
                epoch=turn.epoch, step=turn.step, split=turn.split, members=self._peers + 1
            )
            self.recorder.result(turn.index, result)

    # ── travel ───────────────────────────────────────────────────────────────────────────────

    def _travel(self, turn: Turn, step: Step[T]) -> Generator[Wait, None, T]:
        """Drive a method's step: carry out what it yields, answer with what arrives."""
        flags = Flag.NONE if turn.learns else Flag.VOTE
        answer: Any = None
        while True:
            try:
                word = step.send(answer)
            except StopIteration as end:
                return end.value
            match word:
                case SendAhead(features):
                    answer = None
                    if self.ports.ahead:
                        with torch.no_grad():
                            features = self.module.outlet(features)
                    yield from self._spread(turn, self.ports.ahead, features)
                case SendContext(part):
                    answer = None
                    yield from self._spread(turn, self.ports.inputs, part)
                case Exchange(name, tensors):
                    answer = []
                    if self._peers:
                        group = self.ports.groups[name]  # a name that the wiring must know
                        answer = yield from self._timed(group.exchange(turn.index, tensors, flags))

    def _spread(self, turn: Turn, ends: Sequence[Sender], tensor: Tensor) -> Waits:
        """The same tensor through every one of `ends`."""
        flags = Flag.NONE if turn.learns else Flag.VOTE
        message = Message(turn=turn.index, rows=len(tensor), flags=flags, tensors=(tensor,))
        for end in ends:
            yield from self._timed(send(end, message))

    def _timed(self, waits: Generator[Wait, None, T]) -> Generator[Wait, None, T]:
        """Let `waits` happen, and put the time of each down to the peer it is for."""
        doing, began, peer = self.state.doing, 0.0, ""
        while True:
            try:
                wait = next(waits)  # returns from the wait before, and may block in it
            except StopIteration as end:
                result: T = end.value
                break
            finally:
                if peer:
                    waited = self.state.waited
                    waited[peer] = waited.get(peer, 0.0) + perf_counter() - began
            self.state.waits(wait)
            began, peer = perf_counter(), wait.peer
            yield wait
        self.state.does(doing)
        return result

    # ── record ───────────────────────────────────────────────────────────────────────────────

    def _save_due(self, turn: Turn) -> bool:
        every = self.job.save_every
        return bool(every) and turn.learns and turn.last and turn.epoch % every == 0

    def _save(self, turn: int, step: int) -> None:
        if self.job.checkpoints is None:
            return
        self.state.does("saving")
        checkpoint.store(
            self.job.checkpoints,
            self.module,
            self.optimizer,
            address=self.address,
            turn=turn,
            step=step,
            plan=self.job.plan.digest,
        )
