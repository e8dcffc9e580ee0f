"""What `kills.py` does to a run: whom it hits with which signal, and when.

    whom    the launcher, the fork server, multiprocessing's resource tracker, a module's process
    with    SIGKILL, SIGSTOP, SIGTERM, SIGINT, SIGHUP
    when    start        at any time until the first step, more often early than late
            work         after a step
            evaluation   after the last step of an epoch
            saving       when a checkpoint's folder has appeared
            end          at any time from the last step on

A hundred hits are all the combinations once, in an order of the seed's; a hundred more are all of
them again. A hit is drawn from the seed and its number alone, so that it can be repeated.
"""

import os
import random
import signal
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import psutil

from benchmarks.runs import Run, lines

WHOM = ("launcher", "fork server", "tracker", "module")
SIGNALS = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MOMENTS = ("start", "work", "evaluation", "saving", "end")
MODULES = ("k0g0", "k0g1", "k1g0", "k1g1")  # by rank; k2g0 lives with k1g0
POLL = 0.002  # seconds

STEPS, EPOCHS = 6, 10  # per epoch; digits, batch 240
WORDS = (
    *("train", "gn-dgl", "--network", "mlp", "--widths", "32", "32", "32", "--image-size", "8"),
    *("--batch", "240", "--depth", "2", "--groups", "2", "--save-every", "1"),
    *("--epochs", str(EPOCHS), "--sleep", "0.03"),
)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One signal to one process at one moment, and how far into the moment, from 0 to 1."""

    victim: str
    signal: signal.Signals
    moment: str
    epoch: int
    into: float

    @property
    def whom(self) -> str:
        """The kind of victim."""
        return self.victim if self.victim in WHOM else "module"

    def __str__(self) -> str:
        when = f"{self.moment} + {self.into:.2f}"
        if self.moment in ("work", "evaluation", "saving"):
            when = f"{self.moment} of epoch {self.epoch} + {self.into:.2f}"
        whom = self.victim if self.whom == "module" else f"the {self.victim}"
        return f"{self.signal.name} to {whom}, {when}"


def hit_of(seed: int, number: int) -> Hit:
    """The hit of this number, from 0 on."""
    deck = [*product(WHOM, SIGNALS, MOMENTS)]
    round_, place = divmod(number, len(deck))
    random.Random(f"{seed}/{round_}").shuffle(deck)
    whom, which, moment = deck[place]
    chance = random.Random(f"{seed}/{round_}/{place}")
    return Hit(
        victim=chance.choice(MODULES) if whom == "module" else whom,
        signal=which,
        moment=moment,
        epoch=chance.randint(1, EPOCHS - 4),  # so that a run that is asked to stop can do so
        into=chance.random(),
    )


def processes(run: Run, run_dir: Path) -> dict[str, int]:
    """The processes of a run by the names that hits have for them, as far as they are there."""
    launcher = run.process.pid
    found, unnamed = {"launcher": launcher} if run.process.poll() is None else {}, list[int]()
    for pid in run.alive():
        try:
            process = psutil.Process(pid)
            parent, words = process.ppid(), " ".join(process.cmdline())
        except psutil.Error:
            continue
        if parent == launcher and "resource_tracker" in words:
            found["tracker"] = pid
        elif parent == launcher and "forkserver" in words:
            found["fork server"] = pid
        elif "forkserver" in words:
            unnamed.append(pid)
    named = run.workers(run_dir)
    if not named:  # none has come so far as to write a log: they are started by rank
        named = dict(zip(MODULES, sorted(unnamed), strict=False))
    return found | named


def strike(hit: Hit, run: Run, run_dir: Path, starting: float) -> float | None:
    """Wait for the moment, and hit; when that was, or None if the victim was gone by then.

    `starting` is how long an undisturbed run takes until its first step, in seconds.
    """
    while not _come(hit, run, run_dir, starting):
        if run.process.poll() is not None:
            return None
        time.sleep(POLL)
    slack = {"work": 0.05, "evaluation": 0.03, "saving": 0.02, "end": 0.4}
    time.sleep(slack.get(hit.moment, 0.0) * hit.into)
    while (victim := processes(run, run_dir).get(hit.victim)) is None:
        if run.process.poll() is not None or hit.moment == "end":
            return None
        time.sleep(POLL)
    began = time.monotonic()
    terminal = hit.signal in (signal.SIGINT, signal.SIGHUP)
    try:
        if hit.victim == "launcher" and terminal:  # it signals the whole group
            os.killpg(victim, hit.signal)
        else:
            os.kill(victim, hit.signal)
    except ProcessLookupError:
        return None
    return began


def _come(hit: Hit, run: Run, run_dir: Path, starting: float) -> bool:
    done = lines(run_dir, "k0g0")
    match hit.moment:
        case "start":
            return time.monotonic() - run.began >= hit.into**2 * starting
        case "work":
            return done >= (hit.epoch - 1) * STEPS + 1 + int(hit.into * (STEPS - 1))
        case "evaluation":
            return done >= hit.epoch * STEPS
        case "saving":
            return len([*run_dir.glob("checkpoints/turn-*")]) >= hit.epoch
        case _:
            return done >= EPOCHS * STEPS
