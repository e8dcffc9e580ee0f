"""A process's heartbeat, and its modules' timings, from the states of its workers."""

from collections.abc import Sequence
from time import monotonic

import psutil

from comm.telemetry import Beat, ModuleBeat
from runtime.phase import Phase
from workers.state import DONE, State


def module_beat(state: State) -> ModuleBeat:
    """One module's state, as plain values."""
    turn, wait, times = state.turn, state.waiting, state.times
    return ModuleBeat(
        address=str(state.address),
        word=state.word,
        now=state.now,
        done=state.doing == DONE,
        waits_for=wait.peer if wait else None,
        turn=turn.index if turn else -1,
        step=turn.step if turn else 0,
        epoch=turn.epoch if turn else 0,
        turns=times.turns,
        images=state.images,
        still=monotonic() - state.since,
        seconds=times.seconds,
        learning=times.learning,
        waited=dict(times.waited),
        loss=state.loss,
        accuracy=state.accuracy,
    )


def beat(rank: int, phase: Phase, states: Sequence[State], *, asked: bool) -> Beat:
    """The heartbeat of a process; `asked`: it was asked to end the run."""
    return Beat(
        rank=rank,
        doing=phase.doing,
        waiting=phase.waiting,
        still=phase.still(),
        asked=asked,
        modules=[module_beat(state) for state in states],
        resident=psutil.Process().memory_info().rss,
    )
