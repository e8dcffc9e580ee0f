"""What benchmarks/kills.py does and accepts: every combination, again for the same seed."""

import signal
from dataclasses import replace

import pytest

from benchmarks.hits import MOMENTS, SIGNALS, WHOM, Hit, hit_of
from benchmarks.verdicts import Seen, wrong

STALL = 3.0


def hit(victim: str, number: signal.Signals, moment: str = "work") -> Hit:
    return Hit(victim=victim, signal=number, moment=moment, epoch=1, into=0.5)


def test_a_hundred_hits_are_every_combination_once() -> None:
    hits = [hit_of(3, number) for number in range(100)]
    assert len({(one.whom, one.signal, one.moment) for one in hits}) == 100
    assert len(WHOM) * len(SIGNALS) * len(MOMENTS) == 100


def test_a_hit_is_drawn_from_its_seed_and_number() -> None:
    assert hit_of(3, 41) == hit_of(3, 41)
    assert len({hit_of(seed, number) for seed in (3, 4) for number in (41, 42, 141)}) == 6


KILLED = hit("k1g0", signal.SIGKILL)
FROZEN = hit("fork server", signal.SIGSTOP, "start")
ASKED = hit("launcher", signal.SIGINT)
LATE = hit("launcher", signal.SIGTERM, "end")
NAMED = Seen(code=1, err="k1g0 (learning at step 3): killed by SIGKILL (out of memory?)")
NEVER = {"began": False, "same": False, "resumed": 2}


@pytest.mark.parametrize(
    ("one", "seen"),
    [
        (KILLED, NAMED),
        (FROZEN, Seen(code=1, err="the fork server froze: no sign of life for 3 s", **NEVER)),
        (ASKED, Seen(code=130)),
        (LATE, Seen(code=130)),
        (LATE, Seen(code=0, complete=True)),
        (hit("launcher", signal.SIGKILL), Seen(code=-9)),
        (hit("launcher", signal.SIGSTOP), Seen(code=0, complete=True)),
        (hit("tracker", signal.SIGKILL), Seen(code=0, complete=True)),
    ],
)
def test_what_is_right(one: Hit, seen: Seen) -> None:
    assert wrong(one, seen, STALL) == []


@pytest.mark.parametrize(
    ("one", "seen", "words"),
    [
        (KILLED, replace(NAMED, err=NAMED.err.replace("k1g0", "k0g0")), "another cause"),
        (KILLED, replace(NAMED, err="k1g0: ended with exit code 255"), "another cause"),
        (KILLED, replace(NAMED, err=f"{NAMED.err}\nTraceback …"), "a traceback"),
        (KILLED, replace(NAMED, seconds=STALL + 2.1), "it took 5.1 s"),
        (KILLED, replace(NAMED, processes=("forkserver",)), "left running: forkserver"),
        (KILLED, replace(NAMED, files=("loci-0/x",)), "left behind: loci-0/x"),
        (KILLED, replace(NAMED, same=False), "differs from its twin"),
        (KILLED, replace(NAMED, resumed=1), "resuming it ended with exit code 1"),
        (KILLED, replace(NAMED, **NEVER), "nothing is there to go on with"),
        (KILLED, Seen(code=0, complete=True), "finished, not failed"),
        (FROZEN, Seen(code=None), "hung, not failed or finished"),
        (ASKED, Seen(code=0, complete=True), "finished, not stopped"),
        (ASKED, Seen(code=130, complete=True), "complete, and called stopped"),
        (LATE, Seen(code=0), "not complete, and called finished"),
        (ASKED, Seen(code=130, err="odd"), "an error is told"),
        (hit("launcher", signal.SIGSTOP), Seen(code=0, complete=True, lost=("k0g0",)), "ended w"),
    ],
)
def test_what_is_wrong(one: Hit, seen: Seen, words: str) -> None:
    (found,) = wrong(one, seen, STALL)
    assert words in found
