"""What a person sees of a run: a line per module as far as they fit, rates once they are known."""

import io
import re
from dataclasses import dataclass, field
from dataclasses import replace as altered

import msgspec
import pytest
from rich.console import Console

from comm.address import Grid
from comm.telemetry import Beat, Evaluated, ModuleBeat, Started
from runtime import console as shown
from runtime.console import Progress
from runtime.folded import folded, name, seen, table
from runtime.pace import Pace, duration
from tests.grids import planned
from tests.test_fitted import printed
from workers.methods.gn_dgl import GNDGL

PLAN = altered(planned(GNDGL(), depth=2, groups=2), method="gn-dgl")
LARGE = Grid(groups=(4,) * 8, readout=True)


def module(address: str, *, turn: int = 8, seconds: float = 2.0, **more: object) -> ModuleBeat:
    beat = ModuleBeat(
        address=address,
        word="learning at step 8",
        now="learning",
        done=False,
        waits_for=None,
        turn=turn,
        step=turn,
        epoch=1,
        turns=max(0, turn),
        images=max(0, 10 * turn),
        still=0.0,
        seconds=seconds,
        learning=seconds,
        waited={"k0g1": seconds / 4, "k1g0": seconds / 8},
        loss=1.5,
        accuracy=62.5,
    )
    return msgspec.structs.replace(beat, **more)


def beats(grid: Grid, **more: object) -> dict[int, Beat]:
    """Every process of a grid, all modules in the same state."""
    return {
        rank: Beat(
            rank=rank,
            doing="working",
            waiting=False,
            still=0.0,
            asked=False,
            modules=[module(str(address), **more) for address in grid.hosted(rank)],  # type: ignore[arg-type]
            resident=10 << 20,
        )
        for rank in range(grid.processes)
    }


# ── as many lines as there is room for ───────────────────────────────────────────────────────


def test_every_module_has_a_line_and_the_read_out_head_is_last() -> None:
    """Though the process of k1g0 hosts it, and comes before that of k1g1."""
    lines = folded(seen(beats(PLAN.grid).values()), 5)
    assert [name(line) for line in lines] == ["k0g0", "k0g1", "k1g0", "k1g1", "k2g0"]


@pytest.mark.parametrize(
    ("room", "names"),
    [
        (32, [f"k{k}g0–3" for k in range(8)] + ["k8g0"]),
        (9, [f"k{k}g0–3" for k in range(8)] + ["k8g0"]),
        (8, ["k0–k1", "k2–k3", "k4–k5", "k6–k7", "k8g0"]),
        (2, ["k0–k4", "k5–k8"]),
        (1, ["k0–k8"]),
    ],
)
def test_a_large_grid_is_folded_into_the_room_there_is(room: int, names: list[str]) -> None:
    lines = folded(seen(beats(LARGE).values()), room)
    assert [name(line) for line in lines] == names
    assert sum(map(len, lines)) == 33


def test_a_folded_line_says_the_mean_the_slowest_and_what_the_last_one_does() -> None:
    found = beats(Grid(groups=(2,)))
    found[1] = msgspec.structs.replace(
        found[1],
        modules=[module("k0g1", turn=5, now="waiting for k0g0", loss=2.5, waited={"k0g0": 1.0})],
    )
    (line,) = folded(seen(found.values()), 1)
    rates = {"k0g0": 30.0, "k0g1": 20.0}
    cells = printed(table([line], rates.get), 120)[1].split("  ")
    assert [cell.strip() for cell in cells if cell.strip()] == [
        *("k0g0–1", "5", "2.000", "62.5", "20", "50% k0g0", "20.0 MiB"),
        "k0g1: waiting for k0g0",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_line_of_the_table_is_a_line_of_the_terminal(width: int) -> None:
    """A column is left out before a number is cut; ^C fits behind the last line."""
    lines = folded(seen(beats(LARGE, now="k1g0 is behind, its queue is full").values()), 9)
    out = printed(table(lines, lambda address: 123456.0), width)
    assert len(out) == 1 + len(lines)
    assert max(map(len, out)) <= width - 2
    assert all("k1g0 is behind" in line for line in out[1:])
    assert ("123,456" in out[1]) == (width >= 60) and ("40.0 MiB" in out[1]) == (width >= 120)


# ── pace ─────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_said_of_what_is_not_known_yet() -> None:
    pace = Pace(100, began=0.0)
    pace.see([module("k0g0", turn=-1, seconds=0.0, images=0)], 1.0)
    assert (pace.rate("k0g0"), pace.slowest, pace.left) == (None, None, None)
    assert str(pace) == "0% done, 0:01 elapsed"
    pace.see([module("k0g0", turn=2, seconds=0.9)], 2.0)
    assert pace.rate("k0g0") is None, "not yet a second of training"


def test_rates_are_of_training_and_stay_while_a_module_evaluates() -> None:
    pace = Pace(100, began=0.0)
    for turn, seconds in ((0, 0.0), (10, 2.0), (11, 2.5)):
        pace.see([module("k0g0", turn=turn, seconds=seconds)], seconds)
    assert pace.rate("k0g0") == pytest.approx(50.0)
    pace.see([module("k0g0", turn=19, seconds=2.5, images=110, now="evaluating")], 60.0)
    assert pace.slowest == pytest.approx(50.0), "an evaluation is no training, but no 0 images/s"


def test_the_slowest_module_says_how_far_a_run_is_and_how_long_it_will_take() -> None:
    pace = Pace(100, began=0.0)
    pace.see([module("k0g0", turn=10, seconds=0.0), module("k1g0", turn=4, seconds=0.0)], 10.0)
    pace.see([module("k0g0", turn=50, seconds=9.0), module("k1g0", turn=28, seconds=8.0)], 22.0)
    assert pace.slowest == pytest.approx(30.0)
    assert pace.left == pytest.approx(36.0), "24 turns took 12 seconds, 72 are left"
    assert str(pace) == "28% done, 30 images/s, 0:22 elapsed, about 0:36 left"
    pace.see([module("k0g0", done=True), module("k1g0", done=True)], 60.0)
    assert pace.done == 1.0 and pace.left == 0.0


def test_durations_read_as_on_a_clock() -> None:
    assert [duration(s) for s in (7.9, 754, 3723)] == ["0:07", "12:34", "1:02:03"]


# ── progress ─────────────────────────────────────────────────────────────────────────────────


@dataclass
class Screen:
    """A console of this size and what was printed on it; time passes as the test says."""

    terminal: bool = False
    width: int = 80
    height: int = 24
    now: float = 1000.0
    file: io.StringIO = field(default_factory=io.StringIO)

    def progress(self) -> Progress:
        console = Console(
            file=self.file,
            width=self.width,
            height=self.height,
            force_terminal=self.terminal,
            color_system=None,
            soft_wrap=True,
        )
        return Progress(console, PLAN, turns=100)

    @property
    def lines(self) -> list[str]:
        return self.file.getvalue().splitlines()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(shown, "monotonic", lambda: screen.now)
    return screen


def test_a_plain_line_comes_when_something_has_moved_and_not_twice(screen: Screen) -> None:
    with screen.progress() as progress:
        progress.show({})
        for now, turn in ((1.0, -1), (9.0, -1), (12.0, 4), (14.0, 6), (30.0, 8), (35.0, 8)):
            screen.now = 1000.0 + now
            progress.show(beats(PLAN.grid, turn=turn, seconds=max(0.0, turn / 4)))
        screen.now += 100.0
        progress.show(beats(PLAN.grid, turn=8, seconds=2.0))
    assert [re.sub(r"\d+:\d+", "0:00", line) for line in screen.lines] == [
        "step 4 (epoch 1), 4% done, 40 images/s, 0:00 elapsed; loss k0 1.500, k1 1.500, k2 1.500",
        "step 8 (epoch 1), 8% done, 40 images/s, 0:00 elapsed, about 0:00 left; "
        "loss k0 1.500, k1 1.500, k2 1.500",
    ]


def test_no_rate_is_printed_before_it_is_known(screen: Screen) -> None:
    with screen.progress() as progress:
        screen.now += 10.0
        progress.show(beats(PLAN.grid, turn=1, seconds=0.5, loss=None))
    (line,) = screen.lines
    assert "images/s" not in line and "loss" not in line and "1% done" in line


def test_the_live_table_leaves_room_for_what_was_said(screen: Screen) -> None:
    """In a terminal of 24 lines a grid of 33 modules has 9 lines, one with 5 modules has 5."""
    screen.terminal = True
    progress = screen.progress()
    for grid, lines in ((LARGE, 9), (PLAN.grid, 5)):
        out = printed(progress.table(seen(beats(grid).values())), 80)
        assert len(out) == shown.HEADS + lines <= screen.height - shown.KEPT
    screen.height = 12
    out = printed(screen.progress().table(seen(beats(LARGE).values())), 80)
    assert len(out) <= screen.height - shown.KEPT


def test_notices_and_results_stay_above_the_live_table(screen: Screen) -> None:
    screen.terminal = True
    with screen.progress() as progress:
        progress.started(3.21, [Started(rank=0, private=17 << 20)] * 4)
        progress.show(beats(PLAN.grid))
        progress.say("stopping after this step and saving; Ctrl-C again quits without saving")
        progress.evaluated(
            Evaluated(
                epoch=1,
                step=8,
                split="test",
                rows=(10.0, 20.0),
                head=30.0,
                ensemble=40.0,
                loss=1.0,
            )
        )
    text = screen.file.getvalue()
    assert "4 processes connected after 3.2 s, at most 17.0 MiB unshared memory each" in text
    assert "starting: 0 of 4 processes are there" in text
    said = ("stopping after this step", "epoch 1: test accuracy 40.00 % (the ensemble)")
    for words in said:
        assert words in text
        assert "k1g1" not in text.partition(words)[0].splitlines()[-1], "a line of its own"
