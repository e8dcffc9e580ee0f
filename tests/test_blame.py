"""Who is named when a run ends: told from heartbeats, exit codes and what processes said."""

import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from comm.errors import Diverged, ModuleFailed, PeerLost
from comm.telemetry import Beat, ModuleBeat
from runtime.blame import Pulse, stalled
from runtime.failure import FailureNote, cause, read_notes, write_note
from runtime.phase import WORKING

STALL = 30.0


def module(
    address: str, *, waits_for: str | None = None, still: float = 40.0, done: bool = False
) -> ModuleBeat:
    word = f"waiting for {waits_for} at step 812" if waits_for else "learning at step 812"
    return ModuleBeat(
        address=address,
        word=word,
        now=word.removesuffix(" at step 812"),
        waits_for=waits_for,
        done=done,
        turn=812,
        step=812,
        epoch=1,
        turns=812,
        images=0,
        still=still,
        seconds=1.0,
        learning=1.0,
        waited={},
        loss=None,
        accuracy=None,
    )


def pulse(*modules: ModuleBeat, age: float = 0.2) -> Pulse:
    """A process whose modules take turns."""
    return Pulse(
        age=age, hosted=tuple(m.address for m in modules), beat=beat(WORKING, modules=modules)
    )


def beat(
    doing: str, *, still: float = 40.0, waiting: bool = False, modules: Sequence[ModuleBeat] = ()
) -> Beat:
    return Beat(
        rank=0,
        doing=doing,
        waiting=waiting,
        still=still,
        asked=False,
        modules=[*modules],
        resident=0,
    )


def before_or_after(doing: str, *hosted: str, still: float = 40.0, waiting: bool = False) -> Pulse:
    """A process whose modules do not take turns yet, or no more."""
    return Pulse(age=0.2, hosted=hosted, beat=beat(doing, still=still, waiting=waiting))


def test_a_run_that_moves_is_alive() -> None:
    pulses = {
        0: pulse(module("k0g0", waits_for="k1g0", still=29.0), age=0.9),
        1: pulse(module("k1g0", waits_for="k0g0", still=29.0)),
    }
    assert stalled(pulses, STALL) is None


def test_what_a_heartbeat_told_has_lasted_since_it_came() -> None:
    one = {0: pulse(module("k0g0", still=29.8), age=0.3)}
    assert str(stalled(one, STALL)).startswith("k0g0 has been learning at step 812 for 30 s")
    told = replace(before_or_after("starting", "k1g0", still=29.8), age=0.3)
    assert str(stalled({0: told}, STALL)).startswith("k1g0 has been starting for 30 s")


def test_a_slow_module_is_alive_as_long_as_it_changes_its_word() -> None:
    pulses = {
        0: pulse(module("k0g0", waits_for="k1g0")),
        1: pulse(module("k1g0", still=3.0)),
        2: pulse(module("k2g0", waits_for="k1g0")),
    }
    assert stalled(pulses, STALL) is None


def test_a_process_without_heartbeats_is_frozen_and_its_waiters_are_named() -> None:
    pulses = {
        0: pulse(module("k0g0", waits_for="k1g0", still=31.0)),
        1: pulse(module("k1g0", still=0.1), module("k2g0", still=0.1), age=30.1),
        2: pulse(module("k1g1", waits_for="k1g0", still=30.0)),
    }
    assert stalled(pulses, STALL) == (
        "k1g0 and k2g0 froze (learning at step 812): no sign of life for 30 s; "
        "k0g0, k1g1 wait for it"
    )


def test_the_longest_silent_of_several_is_named() -> None:
    pulses = {
        0: pulse(module("k0g0"), age=31.0),
        1: pulse(module("k1g0"), age=33.0),
        2: pulse(module("k2g0"), age=32.0),
    }
    assert str(stalled(pulses, STALL)).startswith("k1g0 froze")


def test_a_process_that_froze_before_its_first_step_is_named_by_what_it_hosts() -> None:
    pulses = {0: pulse(module("k0g0")), 1: Pulse(age=30.5, hosted=("k1g0",), beat=None)}
    assert stalled(pulses, STALL) == (
        "k1g0 froze (before it gave a sign of life): no sign of life for 30 s"
    )


def test_nobody_is_blamed_for_waiting_for_a_process_that_is_still_starting() -> None:
    pulses = {
        0: pulse(module("k0g0", waits_for="k1g0")),
        1: Pulse(age=0.0, hosted=("k1g0",), beat=None),
    }
    assert stalled(pulses, STALL) is None
    pulses[1] = before_or_after("building its modules", "k1g0", still=0.5)
    assert stalled(pulses, STALL) is None


def test_a_standstill_before_the_first_turn_is_found_where_it_is() -> None:
    pulses = {
        0: before_or_after("connecting", "k0g0", waiting=True, still=90.0),
        1: before_or_after("starting", "k1g0", "k2g0", still=31.0),
        2: before_or_after("connecting", "k1g1", waiting=True, still=90.0),
    }
    found = str(stalled(pulses, STALL))
    assert found.startswith("k1g0 and k2g0 have been starting for 31 s without an end; if it is")
    pulses[1] = before_or_after("starting", "k1g0", "k2g0", still=29.0)  # it computes
    assert stalled(pulses, STALL) is None


def test_who_waits_for_one_of_several_modules_of_a_process_waits_for_that_process() -> None:
    pulses = {
        0: pulse(module("k0g0", waits_for="k2g0")),
        1: before_or_after("leaving", "k1g0", "k2g0", waiting=True),
    }
    circle = "k0g0 → k1g0 and k2g0 → k0g0"
    assert stalled(pulses, STALL) == f"modules wait for each other in a circle: {circle}"
    pulses[1] = before_or_after("building its modules", "k1g0", "k2g0", still=42.0)
    assert stalled(pulses, STALL) == (
        "k1g0 and k2g0 have been building its modules for 42 s without an end; "
        "k0g0 waits for it; if it is only slow, raise --stall"
    )


def test_a_standstill_after_the_last_turn_is_found_while_others_still_work() -> None:
    pulses = {
        0: before_or_after("writing down its times", "k0g0", still=31.0),
        1: pulse(module("k1g0", still=0.1)),
    }
    assert str(stalled(pulses, STALL)).startswith("k0g0 has been writing down its times for 31 s")
    pulses[0] = before_or_after("leaving", "k0g0", waiting=True, still=500.0)
    assert stalled(pulses, STALL) is None


def test_whoever_waits_for_all_is_led_to_the_one_that_does_not() -> None:
    pulses = {
        0: before_or_after("leaving", "k0g0", waiting=True),
        1: pulse(module("k1g0", waits_for="k1g1")),
        2: pulse(module("k1g1", still=42.0)),
    }
    assert str(stalled(pulses, STALL)).startswith("k1g1 has been learning at step 812 for 42 s")


def test_where_all_wait_for_all_everyone_is_named() -> None:
    pulses = {
        rank: before_or_after("leaving", f"k{rank}g0", waiting=True, still=31.0 + rank)
        for rank in range(2)
    }
    assert stalled(pulses, STALL) == "k0g0, k1g0: leaving for 31 s, and nobody comes further"
    assert stalled(pulses, 31.5) is None


def test_the_chain_of_waits_leads_to_the_one_that_does_not_wait() -> None:
    pulses = {
        0: pulse(module("k0g0", waits_for="k1g1")),
        1: pulse(module("k0g1", waits_for="k0g0")),
        2: pulse(module("k1g0", waits_for="k1g1"), module("k2g0", waits_for="k1g1")),
        3: pulse(module("k1g1", still=42.0)),
    }
    assert stalled(pulses, STALL) == (
        "k1g1 has been learning at step 812 for 42 s without an end; "
        "k0g0, k1g0, k2g0 wait for it; if it is only slow, raise --stall"
    )


def test_a_circle_of_waits_is_drawn() -> None:
    pulses = {
        0: pulse(module("k0g0", waits_for="k1g0")),
        1: pulse(module("k1g0", waits_for="k1g1")),
        2: pulse(module("k1g1", waits_for="k1g0")),
    }
    found = str(stalled(pulses, STALL))
    assert found == "modules wait for each other in a circle: k1g0 → k1g1 → k1g0"


def test_modules_that_are_done_are_not_waited_for() -> None:
    assert stalled({0: pulse(module("k0g0", done=True))}, STALL) is None
    pulses = {0: pulse(module("k0g0", done=True)), 1: pulse(module("k1g0"))}
    assert str(stalled(pulses, STALL)).startswith("k1g0 has been learning")


WORDS = {0: "k0g0 (learning at step 3)", 1: "k1g0 (waiting for k0g0 at step 2)"}


def note(rank: int, turn: int, *, echo: bool) -> FailureNote:
    return FailureNote(rank=rank, turn=turn, line=f"rank {rank}", echo=echo, trace="")


def test_a_killed_process_is_the_cause_whatever_the_others_say() -> None:
    notes = [note(0, 1, echo=False), note(2, 0, echo=True)]
    assert cause(notes, {0: 1, 1: -signal.SIGSEGV, 2: 1}, WORDS) == (
        "k1g0 (waiting for k0g0 at step 2): killed by SIGSEGV"
    )
    assert "out of memory?" in cause([], {1: -signal.SIGKILL}, WORDS)


def test_the_earliest_failure_that_is_no_echo_is_the_cause() -> None:
    notes = [note(0, 2, echo=True), note(1, 7, echo=False), note(2, 5, echo=False)]
    assert cause(notes, {0: 1, 1: 1, 2: 1}, WORDS) == "rank 2"
    notes = [note(1, 5, echo=False), note(0, 5, echo=False)]
    assert cause(notes, {0: 1, 1: 1}, WORDS) == "rank 0"


def test_a_process_that_left_without_a_word_comes_before_echoes() -> None:
    found = cause([note(0, 2, echo=True)], {0: 1, 1: 7}, WORDS)
    assert found == "k1g0 (waiting for k0g0 at step 2): ended with exit code 7"


def test_an_echo_is_better_than_nothing() -> None:
    assert cause([note(0, 9, echo=True), note(1, 3, echo=True)], {0: 1, 1: 1}, WORDS) == "rank 1"
    assert cause([], {}, {}) == "a process ended without a word"


def test_processes_leave_notes_and_torn_ones_are_passed_over(tmp_path: Path) -> None:
    write_note(tmp_path, 0, ModuleFailed("k0g0", 5, "step 4", Diverged("the loss is nan")))
    lost = ModuleFailed("k1g0", 6, "step 5", PeerLost("lost k0g0"))
    lost.__cause__ = PeerLost("lost k0g0")
    write_note(tmp_path, 1, lost)
    write_note(tmp_path, 2, ValueError("odd"))
    (tmp_path / "failed-3.json").write_text('{"rank": 3,')
    first, second, third = read_notes(tmp_path)
    assert (first.line, first.turn, first.echo) == (
        "k0g0 failed at step 4: the loss is nan",
        5,
        False,
    )
    assert (second.rank, second.echo) == (1, True)
    assert third.line == "rank 2 failed: ValueError: odd" and third.turn == -1
