"""Drives the modules that one process hosts, one at a time, each as far as it can go.

A worker that would wait is parked, and another one goes on. Only when none can go on does the
process block: at the earliest wait, by turn and then by row, that another process can end. In this
order every event a wait depends on comes before it, so blocking there is safe. With all modules in
one process nothing ever blocks: that is lockstep, the debugger's mode and the tests' oracle.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from comm.address import Address
from comm.channel import Wait, Waits
from comm.errors import Deadlock, ModuleFailed
from workers.state import State
from workers.worker import Worker

Pick = Callable[[Sequence[tuple[int, Address]]], int]


def earliest(parked: Sequence[tuple[int, Address]]) -> int:
    """The first by turn, then by address: modules advance together."""
    return min(range(len(parked)), key=parked.__getitem__)


@contextmanager
def failing(state: State) -> Generator[None]:
    """An error in this block is a ModuleFailed, of this module in the turn it has come to."""
    try:
        yield
    except Exception as error:
        turn = state.turn
        raise ModuleFailed(
            str(state.address), turn.index if turn else -1, str(turn or "the start"), error
        ) from error


def drive(workers: Sequence[Worker], pick: Pick = earliest) -> None:
    """Run all workers to their end. Raises ModuleFailed for the first that fails.

    `pick` chooses among the workers that can go on, given their (turn, address): any choice gives
    the same numbers.
    """
    lives = {worker: worker.life() for worker in workers}
    parked: dict[Worker, Wait] = {}

    def advance(worker: Worker, life: Waits) -> None:
        parked.pop(worker, None)
        with failing(worker.state):
            wait = next(life, None)
        if wait is not None:
            parked[worker] = wait

    for worker, life in lives.items():
        advance(worker, life)
    while parked:
        able = [worker for worker, wait in parked.items() if wait.end.ready()]
        if able:
            chosen = able[pick([_key(worker, parked[worker]) for worker in able])]
        else:
            able = [worker for worker, wait in parked.items() if wait.end.blocks]
            if not able:
                raise Deadlock("; ".join(f"{w.address} is {w.state.word}" for w in parked))
            chosen = able[earliest([_key(worker, parked[worker]) for worker in able])]
        advance(chosen, lives[chosen])


def _key(worker: Worker, wait: Wait) -> tuple[int, Address]:
    return wait.turn, worker.address
