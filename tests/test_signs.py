"""A process is alive while it computes or beats; a start may take as long as it likes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from comm.telemetry import Beat
from runtime.fork_server import seconds_used
from runtime.phase import SIGN, Phase
from runtime.signs import Signs
from tests.runs import until

HOSTED = {0: ("k0g0",), 1: ("k1g0",)}
COMPUTES = "while True: pass"
SLEEPS = "import time; time.sleep(600)"


@contextmanager
def child(program: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_a_process_that_computes_before_its_first_heartbeat_is_alive() -> None:
    with child(COMPUTES) as busy, child(SLEEPS) as idle:
        signs, running, beats = Signs(HOSTED), {0: busy, 1: idle}, dict[int, Beat]()
        ages: list[float] = []

        def old() -> bool:
            pulses = signs.pulses(running, beats)
            ages.append(pulses[0].age)
            return pulses[1].age > 1.5

        until(old, timeout=60, why="the one that sleeps grows old")
        assert ages[-1] < 1.0
        signs.heard(1)
        assert signs.pulses(running, beats)[1].age < 0.5


def test_a_process_that_ended_before_anybody_looked_was_alive_until_now() -> None:
    with child("pass") as ended:
        until(lambda: seconds_used(ended) is None, timeout=60, why="it has ended")
        assert Signs(HOSTED).pulses({0: ended}, {})[0].age < 0.5


def test_nobody_grows_old_while_nobody_looks() -> None:
    with child(SLEEPS) as idle:
        signs, running = Signs(HOSTED), {0: idle, 1: idle}
        signs.heard(1)
        signs.pulses(running, {})
        time.sleep(2)  # as if the launcher had been stopped
        signs.heard(1)  # what had come meanwhile is read first
        assert all(pulse.age < 0.5 for pulse in signs.pulses(running, {}).values())
        time.sleep(0.5)
        assert all(pulse.age > 0.4 for pulse in signs.pulses(running, {}).values())


def test_a_phase_is_still_when_nothing_is_computed_in_it_and_who_waits_is_still_anyhow() -> None:
    phase = Phase()
    time.sleep(0.3)
    assert phase.still() >= 0.3
    busy = time.thread_time() + 2 * SIGN
    while time.thread_time() < busy:
        pass
    assert phase.still() < 0.1
    phase.enter("connecting", waiting=True)
    busy = time.thread_time() + 2 * SIGN
    while time.thread_time() < busy:
        pass
    assert phase.still() >= 2 * SIGN
