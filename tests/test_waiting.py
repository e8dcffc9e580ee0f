"""Waiting is the time until another module has done its part, and nothing that a module does."""

import itertools
import time
from collections.abc import Generator
from dataclasses import dataclass

from torch import Tensor

from comm.address import Address
from comm.channel import Receiver, Wait, receive, send
from comm.message import Message
from comm.ports import open_ports
from comm.route import Route
from comm.transports.memory import Memory, MemorySender
from runtime.beats import module_beat
from tests.grids import Notebook, job_of, planned
from tests.plays import deliver, message_of, road, spec
from workers.grid import hire
from workers.methods.gn_dgl import GNDGL
from workers.schedule import training
from workers.state import DONE, EVALUATING, State
from workers.worker import Worker

PACKING = 0.3  # seconds
STEPS = 2
K0G0, K1G0 = Address(0, 0), Address(1, 0)


class SlowToPack(MemorySender):
    """Packs as a GPU does that has not yet computed what is to be copied."""

    def pack(self, message: Message) -> None:
        time.sleep(PACKING)
        super().pack(message)


class SlowFrom(Memory):
    """Where what leaves k0g0 takes long to pack."""

    def sender(self, route: Route) -> MemorySender:
        return SlowToPack(self._queue(route)) if route.source == K0G0 else super().sender(route)


def test_packing_is_the_senders_own_work() -> None:
    """Nobody receives, but the window has room for all that is sent: so nobody is waited for."""
    method = GNDGL(tail="fc")
    plan = planned(method, depth=2, groups=1, window=STEPS)
    ports = open_ports(K0G0, plan.routes, lambda _: SlowFrom())
    sender = Worker(job_of(plan, method, steps=STEPS), K0G0, ports, Notebook())
    for _ in sender.life():
        pass
    times, packed = sender.state.times, STEPS * PACKING
    assert (times.turns, list(times.waited)) == (STEPS, ["k1g0"])
    assert times.seconds > packed and times.waited["k1g0"] < packed / 2


def load(end: Receiver, state: State, seen: list[str]) -> Generator[Wait, None, Tensor]:
    """Receive, then do something that takes long, as row 0 loads its images."""
    message = yield from receive(end, 0)
    time.sleep(PACKING)
    seen.append(state.now)
    assert time.monotonic() - state.since >= PACKING, "since it does not wait any more"
    assert state.since > state.changed, "which is later than when it began to"
    return message.tensors[0]


def test_what_follows_a_wait_is_no_part_of_it() -> None:
    method = GNDGL(tail="fc")
    (worker,) = hire(job_of(planned(method, depth=1, groups=1), method), {K0G0: Notebook()})
    route, transport, seen = road(spec(3), ends=(K1G0, K0G0)), Memory(), list[str]()
    deliver(transport.sender(route), message_of(route, 0, 1))
    worker.state.does("learning")
    for wait in worker.travel.timed(load(transport.receiver(route), worker.state, seen)):
        assert worker.state.now == "waiting for k1g0" and worker.state.waiting is wait
        time.sleep(PACKING / 10)
    assert PACKING / 10 <= worker.state.waited["k1g0"] < PACKING
    assert seen == ["learning"], "it says that it waits, and does not any more"


def test_nobody_is_ever_seen_to_wait_longer_than_it_has_worked() -> None:
    """Whenever a heartbeat comes: sums of waits and of turns are of the same turns."""
    method = GNDGL(share="maps")
    plan = planned(method, depth=2, groups=2, window=1)
    workers = hire(job_of(plan, method, evaluate=True), {a: Notebook() for a in plan.grid})
    lives = {worker: worker.life() for worker in workers}
    waits: dict[Worker, Wait | None] = dict.fromkeys(workers)
    seen = 0
    while lives:
        able = [w for w in lives if (wait := waits[w]) is None or wait.end.ready()]
        waits[able[0]] = next(lives[able[0]], None)
        if waits[able[0]] is None:
            del lives[able[0]]
        for beat in (module_beat(worker.state) for worker in workers):
            seen += bool(beat.waited)
            assert sum(beat.waited.values()) <= beat.seconds
    assert seen and all(worker.state.doing == DONE for worker in workers)


@dataclass(frozen=True)
class Case:
    doing: str
    word: str
    turn: int | None = None


def test_words_for_what_a_module_does() -> None:
    schedule = training(
        epochs=1, steps_per_epoch=3, max_steps=None, eval_every=1, eval_turns={"test": 2}
    )
    cases = (
        Case("starting", "starting"),
        Case("learning", "learning at step 2", 2),
        Case(EVALUATING, "evaluating batch 1", 4),
        Case("saving", "saving at evaluation batch 1", 4),
    )
    for case in cases:
        state = State(K0G0, turn=None if case.turn is None else schedule.turn(case.turn))
        state.does(case.doing)
        assert (state.now, state.word) == (case.doing, case.word)


def test_words_for_whom_a_module_waits_for() -> None:
    """In a table, and within "k0g0 has been … for 30 s" or "k0g0 (…): killed by SIGKILL"."""
    route, transport = road(spec(3), window=1), Memory()
    schedule = training(
        epochs=1, steps_per_epoch=3, max_steps=None, eval_every=0, eval_turns={"test": 1}
    )
    state = State(K0G0, turn=schedule.turn(1))
    received = receive(transport.receiver(road(spec(3), ends=(K1G0, K0G0), tag=1)), 1)
    state.waits(next(received))
    assert state.now == "waiting for k1g0"
    assert state.word == "waiting for k1g0 at step 1"
    sends = itertools.chain(
        *(send(transport.sender(route), message_of(route, t, 1)) for t in (0, 1))
    )
    state.waits(list(itertools.islice(sends, 2))[-1])
    assert state.now == "k1g0 is behind, its queue is full"
    assert state.word == "waiting for k1g0, whose queue is full, at step 1"
