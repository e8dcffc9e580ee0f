"""One module's life: turn after turn it receives its input, learns, sends, and records.

    receive    features of the row before                          row 0: permit, and the images
    learn      drive the method's step: send ahead, exchange …     evaluation: forward alone
    update     backward, clip, SGD                                 evaluation: fill in the ballot
    record     one line; a checkpoint where one is due (see `workers.saving`)

A worker waits only at the ends of routes, and says so first by yielding a `Wait`; `drive` goes on.
"""

from collections.abc import Callable, Generator
from time import perf_counter, sleep

import torch
from torch import Tensor

from comm.address import Address
from comm.channel import Wait, Waits, send
from comm.errors import Diverged
from comm.message import Flag, Message
from comm.ports import Ports
from partition.build import LocalModule, build
from workers.ballot import Tally, merged
from workers.hearing import Heard, Hearing, Stop
from workers.job import Job
from workers.optim import LearningRate, optimizer
from workers.record import Recorder
from workers.replay import Rereading
from workers.replicas import add_up
from workers.saving import Saving
from workers.schedule import Turn
from workers.state import DONE, EVALUATING, State
from workers.travel import Travel
from workers.update import advance, backward


def never() -> bool:
    """No one asks this run to stop."""
    return False


class Worker:
    """Drives the steps of one module; its `travel` carries out what they say.

    `asked_to_stop` is consulted by k0g0 alone: it ends the run by sending STOP ahead of the turn it
    does not begin, and every other module ends when STOP reaches it, so all end at the same turn
    (with replay, at the same turn of row 0).
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
        self.module: LocalModule = build(job.plan, address, seed=job.seed, device=job.device)
        self.optimizer = optimizer(self.module.learned(), job.optim)
        self.optimizers = [self.optimizer, *job.method.prepared(self.module)]
        self._rate = LearningRate(
            config=job.optim, batch=job.plan.batch, steps_per_epoch=job.feed.steps_per_epoch
        )
        self.saving = Saving(job, address, self.module, self.optimizers)
        ears = Rereading if job.plan.replay and address.k else Hearing
        self.hearing = ears(job, self.module.plan, ports, asked_to_stop, self.saving.due_by_clock)
        self._peers = len(job.plan.grid.rows[address.k]) - 1
        self.travel = Travel(self.module, ports, self.state, self._peers)
        self._counts = address == job.plan.grid.rows[-1][0]
        self._tally = self._new_tally()
        self.saving.restore()

    def life(self) -> Waits:
        """All turns, from `job.start` to the end of the schedule or to STOP."""
        for turn in self.job.schedule.turns(self.job.start):
            began, waited = perf_counter(), sum(self.state.waited.values())
            self.travel.begin(turn)
            self.state.turn = turn
            heard = yield from self.travel.timed(self.hearing.hear(turn))
            if isinstance(heard, Stop):
                yield from self.travel.timed(self._pass_on_stop(turn, heard))
                break
            if heard.save:
                self.travel.flags |= Flag.SAVE
                self._save(turn.index, turn.step, stays=False)
            if turn.learns:
                yield from self._learn(turn, heard)
            else:
                yield from self._vote(turn, heard)
            waited = sum(self.state.waited.values()) - waited
            seconds = perf_counter() - began - self.travel.aside
            self.state.took(seconds, waited, learning=turn.learns)
            if self.saving.due_after(turn):
                self._save(turn.index + 1, turn.step + 1, stays=True)
        if self.stopped_at is None:
            began = perf_counter()
            stop = yield from self.travel.timed(self.hearing.done())
            self.stopped_at = stop.turn if stop else None
            self.state.rested(perf_counter() - began)
        end = len(self.job.schedule) if self.stopped_at is None else self.stopped_at
        last = self.state.turn
        if end > self.job.start and last is not None:
            trained = last.step + (last.learns and self.stopped_at is None)
            self._save(end, trained, stays=self.stopped_at is None)
        self.state.does(DONE)

    def _pass_on_stop(self, turn: Turn, stop: Stop) -> Waits:
        self.stopped_at = stop.turn
        message = Message(turn=turn.index, step=stop.turn, flags=Flag.STOP)
        for end in (*self.ports.permits, *self.ports.ahead):
            yield from send(end, message)

    # ── learn, vote ──────────────────────────────────────────────────────────────────────────

    def _learn(self, turn: Turn, heard: Heard) -> Waits:
        self.state.does("learning")
        if self.job.sleep and self.module.plan.blocks:
            sleep(self.job.sleep[min(self.address.k, len(self.job.sleep) - 1)])
        self.module.train()
        self.module.begin(turn.step)
        inbox, method = heard.inbox, self.job.method
        labels = self.job.feed.labels(inbox.step)[inbox.rows].to(self.job.device)
        lesson = yield from self.travel.carry(turn, inbox, method.learn(self.module, inbox, labels))
        inspected = yield from self.travel.untimed(
            self.travel.carry(turn, inbox, method.inspect(self.module, inbox, labels))
        )
        values = backward(self.optimizer, lesson)
        adding = add_up(self.module, "gradients", self.module.learned())
        yield from self.travel.carry(turn, inbox, adding)
        rate, clip_norm = self._rate(turn.step), self.job.optim.clip_norm
        values |= advance(self.module, self.optimizer, rate=rate, clip_norm=clip_norm)
        values |= inspected
        if lesson.afterwards is not None:
            values |= yield from self.travel.carry(turn, inbox, lesson.afterwards)
        if lesson.logits is not None and len(labels):  # a replica may have no image of a batch
            right = (lesson.logits.detach().argmax(dim=1) == labels).sum().item()
            values["accuracy"] = 100 * right / len(labels)
        if heard.read is not None:
            values["read"] = heard.read
        self.recorder.lesson(turn=turn.index, step=turn.step, epoch=turn.epoch, values=values)
        self.state.loss, self.state.accuracy = values["loss"], values.get("accuracy")
        self.state.images += inbox.batch

    @torch.no_grad()  # holds whenever this generator runs, and only then
    def _voice(self, turn: Turn, heard: Heard) -> Generator[Wait, None, tuple[Tensor, Tensor]]:
        """The features to pass on, and the ballot with this module's vote on it."""
        vote = yield from self.travel.carry(
            turn, heard.inbox, self.job.method.vote(self.module, heard.inbox)
        )
        predictors, ballot = self.job.plan.predictors, heard.ballot
        if ballot is None:
            empty = len(vote.features), len(predictors), self.module.classes
            ballot = vote.features.new_zeros(empty)
        if vote.logits is not None:
            ballot[:, predictors.index(self.address.k)] = torch.softmax(vote.logits, dim=1)
        return self.module.outlet(vote.features), ballot

    def _vote(self, turn: Turn, heard: Heard) -> Waits:
        assert turn.split is not None
        self.state.does(EVALUATING)
        self.module.eval()
        features, ballot = yield from self._voice(turn, heard)
        yield from self.travel.spread(turn, heard.inbox, self.ports.ahead, features, ballot)
        own = ballot[:, -1]
        if "ballots" in self.ports.groups:  # a last row without a read-out head counts together
            group = self.ports.groups["ballots"]
            shown = [ballot] * self._peers
            flags = self.travel.flags
            others = yield from self.travel.timed(group.exchange(turn.index, shown, flags))
            if self.module.plan.share.of > 1:  # g0, who counts, has the first images
                ballot = torch.cat([ballot, *others])
                own = ballot[:, -1]
            else:
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
            raise Diverged("an output is not finite; try a lower --lr or --clip-norm")
        labels = self.job.feed.eval_labels(turn.split, turn.batch).to(ballot.device)
        self._tally.add(ballot, labels, own)
        if turn.last:
            result = self._tally.result(
                epoch=turn.epoch, step=turn.step, split=turn.split, members=self.module.groups
            )
            self.recorder.result(turn.index, result)

    # ── record ───────────────────────────────────────────────────────────────────────────────

    def _save(self, turn: int, step: int, *, stays: bool) -> None:
        began = perf_counter()
        self.state.does("saving")
        self.saving.save(turn, step, stays=stays)
        self.travel.aside += perf_counter() - began
