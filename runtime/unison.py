"""Under torchrun every process reads the same command line: what there is to say is said once.

    every rank   runs the command; what it says is held back, but for rank 0's
                 └ `train` takes turns: on every host one rank prepares what all need, then the rest
                 └ agrees: its exit code, and its errors, go into the store that torchrun shares
    rank 0       prints what others found and it did not
    every rank   goes on if all can, or ends with the worst exit code

`train` agrees when everything is checked and nothing is written yet, any other command at its end.
"""

import signal
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
)
from platform import node
from time import sleep
from typing import TYPE_CHECKING, Any, TextIO, cast

import msgspec

from runtime.death import die_with_parent
from runtime.exits import EXIT_FAILED, EXIT_STOPPED
from runtime.found import Found, verdict
from runtime.interrupts import ENDING
from runtime.world import World

if TYPE_CHECKING:
    from comm.rendezvous import Store

SOON = 0.05  # seconds
_now: list["Unison"] = []


class _Heard:
    """Keeps what is written to `to`, and passes it on if `aloud`.

    It is like `to` in all else, as width, colours and encoding change what is written.
    """

    def __init__(self, to: TextIO, *, aloud: bool) -> None:
        self._to, self._aloud, self.text = to, aloud, ""

    def write(self, text: str) -> int:
        self.text += text
        return self._to.write(text) if self._aloud else len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._to, name)


class Unison:
    """One process's part in it; `agree` is called once."""

    def __init__(self, world: World) -> None:
        self._world, self._held, self.agreed = world, ExitStack(), False
        self._errors = _Heard(sys.stderr, aloud=world.rank == 0)
        results = _Heard(sys.stdout, aloud=world.rank == 0)
        self._held.enter_context(redirect_stderr(cast(TextIO, self._errors)))
        self._held.enter_context(redirect_stdout(cast(TextIO, results)))

    @property
    def _store(self) -> "Store":
        from comm.rendezvous import torchrun_store  # torch is here by now, or will be needed

        world = self._world
        return torchrun_store(f"{world.run_id}/{world.generation}", *world.place)

    @contextmanager
    def in_turn(self) -> Generator[None]:
        """One rank of every host goes first, and tells of its progress; the others come after."""
        key = f"prepared/{node()}"
        while self._world.local_rank and not self._store.check([key]):
            sleep(SOON)  # and not in the store, where Ctrl-C would not be heard
        try:
            yield
        finally:
            self._store.set(key, "")

    def agree(self, code: int, *, run_dir: str = "", start: int = 0) -> tuple[int, Found]:
        """The worst exit code of all, and what rank 0 found, once all ranks have come here.

        If it is not 0, everything has been said.
        """
        self._held.close()
        self.agreed = True
        for number in ENDING:
            if callable(signal.getsignal(number)):  # it would not run while the store waits
                signal.signal(number, signal.SIG_DFL)
        world, said, store = self._world, self._errors.text if code else "", self._store
        own = Found(host=node(), code=code, said=said, run_dir=run_dir, start=start)
        store.set(f"found/{world.rank}", msgspec.json.encode(own).decode())
        found = [
            msgspec.json.decode(store.get(f"found/{rank}"), type=Found)
            for rank in range(world.processes)
        ]
        worst, words = verdict(found)
        if world.rank == 0:
            print(words, end="", file=sys.stderr, flush=True)
            store.set("said", "")
        elif worst:  # torchrun ends all of us when the first has ended
            store.get("said")
        return worst, found[0]


def in_unison(command: Callable[[], int]) -> int:
    """Run a command as one process among those that torchrun started; the exit code."""
    die_with_parent()  # torchrun's agent may be killed, too
    unison = Unison(World.read())
    _now.append(unison)
    try:
        code = command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else EXIT_FAILED
    except Exception:
        traceback.print_exc()
        code = EXIT_FAILED
    if unison.agreed or code == EXIT_STOPPED:  # others are interrupted as well
        return code
    return unison.agree(code)[0]


def in_turn() -> AbstractContextManager[None]:
    """What all ranks do, one of every host before the others: see `Unison.in_turn`."""
    return _now[-1].in_turn()


def agree_to_begin(run_dir: str, start: int) -> tuple[int, Found]:
    """Whether all ranks can begin to train: see `Unison.agree`."""
    return _now[-1].agree(0, run_dir=run_dir, start=start)
