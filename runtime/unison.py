"""Under torchrun every process reads the same command line: what there is to say is said once.

    every rank   runs the command; what it says is held back, but for rank 0's
                 └ agrees: its exit code, and its errors, go into the store that torchrun shares
    rank 0       prints what others found and it did not
    every rank   goes on if all can, or ends with the worst exit code

`train` agrees when everything is checked and nothing is written yet, any other command at its end.
"""

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from platform import node
from typing import Any, TextIO, cast

import msgspec

from runtime.death import die_with_parent
from runtime.exits import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_STOPPED
from runtime.world import World

_now: list["Unison"] = []


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What one rank found: its exit code, 0 if it can go on, and the errors that it has told.

    A rank that is about to train adds in which directory, and from which turn on.
    """

    host: str
    code: int
    said: str = ""
    run_dir: str = ""
    start: int = 0


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

    def agree(self, code: int, *, run_dir: str = "", start: int = 0) -> tuple[int, Found]:
        """The worst exit code of all, and what rank 0 found, once all ranks have come here.

        If it is not 0, everything has been said.
        """
        from comm.rendezvous import torchrun_store  # torch is here by now, or will be needed

        self._held.close()
        self.agreed = True
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if callable(signal.getsignal(number)):  # it would not run while the store waits
                signal.signal(number, signal.SIG_DFL)
        world, said = self._world, self._errors.text if code else ""
        store = torchrun_store(f"{world.run_id}/{world.generation}", world.rank, world.processes)
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


def verdict(found: Sequence[Found]) -> tuple[int, str]:
    """The exit code for all, and what rank 0, who has told its own errors, has to add.

    Lines that several ranks have are told once, with their ranks.
    """
    told, words = {*found[0].said.splitlines()}, ""
    for text in dict.fromkeys(one.said for one in found if one.code):
        ranks = [rank for rank, one in enumerate(found) if one.said == text]
        hosts = " and ".join(dict.fromkeys(found[rank].host for rank in ranks))
        named = f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))} on {hosts}"
        new = [line for line in text.splitlines() if line not in told]
        words += "".join(f"{named}: {line}\n" for line in new)
        told |= {*new}
    worst = max(one.code for one in found)
    for rank, one in enumerate(found):
        if not worst and one.start != found[0].start:
            return EXIT_BAD_INPUT, (
                f"error: rank {rank} on {one.host} would go on from batch {one.start}, rank 0 on "
                f"{found[0].host} from batch {found[0].start}: put the run directory on a disk "
                f"that all hosts share, {found[0].run_dir}\n"
            )
    return worst, words


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


def agree_to_begin(run_dir: str, start: int) -> tuple[int, Found]:
    """Whether all ranks can begin to train: see `Unison.agree`."""
    return _now[-1].agree(0, run_dir=run_dir, start=start)
