"""history.csv has every evaluation once, beside a clock that goes on where a run goes on."""

import csv
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from comm.telemetry import Evaluated
from runtime.history import History
from runtime.recorder import RunRecorder
from runtime.run_dir import RunDir
from tests.grids import planned
from workers.ballot import Result
from workers.methods.gn_dgl import GNDGL
from workers.metrics import metrics

PAUSE = 0.05  # seconds


def result(epoch: int) -> Result:
    return Result(
        epoch=epoch,
        step=10 * epoch,
        split="test",
        images=4,
        rows=(None, 25.0),
        head=None,
        ensemble=50.0,
        loss=1.25,
        member=75.0,
    )


def opened(folder: Path, turn: int) -> History:
    return History(folder / "history.csv", folder / "clock.csv", rows=2, turn=turn)


def written(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_line_is_there_as_soon_as_it_is_known_and_says_all(tmp_path: Path) -> None:
    before = datetime.now().astimezone().replace(microsecond=0)
    with opened(tmp_path, 0) as history:
        assert written(tmp_path) == []
        history.evaluated(11, result(1))
        (line,) = written(tmp_path)
    assert before <= datetime.fromisoformat(line.pop("time")) <= datetime.now().astimezone()
    assert line.pop("seconds") == "0.000", "an evaluation is no training"
    assert line == {
        **{"turn": "11", "epoch": "1", "step": "10", "split": "test"},
        **{"row 0": "", "row 1": "25.0000", "head": "", "ensemble": "50.0000"},
        **{"member": "75.0000", "loss": "1.250000"},
    }


def test_seconds_are_of_training_alone(tmp_path: Path) -> None:
    with opened(tmp_path, 0) as history:
        for turn in range(2):
            time.sleep(PAUSE)
            history.trained(turn)
        trained = history.seconds
        time.sleep(10 * PAUSE)
        history.evaluated(2, result(1))
        assert history.seconds == trained >= 2 * PAUSE
        time.sleep(PAUSE)
        history.trained(3)
        assert trained + PAUSE <= history.seconds < trained + 10 * PAUSE


def test_a_resumed_run_drops_what_it_makes_again_and_its_clock_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.history.NOTED", 0.0)  # the clock is noted at every step
    with opened(tmp_path, 0) as history:
        at: list[float] = []
        for turn in range(6):
            time.sleep(PAUSE)
            if turn in (2, 5):
                history.evaluated(turn, result(turn))
            else:
                history.trained(turn)
            at.append(history.seconds)
    assert [line["turn"] for line in written(tmp_path)] == ["2", "5"]
    with opened(tmp_path, 4) as history:  # from a checkpoint before turn 4
        assert history.seconds == pytest.approx(at[3], abs=1e-3)
        assert [line["turn"] for line in written(tmp_path)] == ["2"]
        history.trained(4)
        history.evaluated(5, result(5))
    first, second = written(tmp_path)
    assert float(first["seconds"]) < at[3] < float(second["seconds"]) + 1e-3
    with opened(tmp_path, 6) as history:  # from its end: nothing is dropped
        assert len(written(tmp_path)) == 2
        assert history.seconds >= float(second["seconds"])


@pytest.mark.parametrize("torn", ["7,7,70,te", "7", "1,99", "\xff,,,,,,,,,,,", "", "7\0"])
def test_what_a_killed_run_left_half_written_is_dropped(tmp_path: Path, torn: str) -> None:
    with opened(tmp_path, 0) as history:
        history.trained(0)
        history.evaluated(1, result(1))
        seconds = history.seconds
    for name in ("history.csv", "clock.csv"):
        with (tmp_path / name).open("a", encoding="latin-1") as file:
            file.write(torn)
    with opened(tmp_path, 2) as history:
        assert history.seconds == pytest.approx(seconds, abs=1e-3)
        history.evaluated(3, result(2))
    assert [line["turn"] for line in written(tmp_path)] == ["1", "3"]


def test_a_run_that_stops_has_noted_its_last_second(tmp_path: Path) -> None:
    with opened(tmp_path, 0) as history:
        time.sleep(PAUSE)
        history.trained(0)
    with opened(tmp_path, 1) as history:
        assert history.seconds >= PAUSE


def test_lines_that_can_not_be_read_stay_beside(tmp_path: Path) -> None:
    with opened(tmp_path, 0) as history:
        history.trained(0)
        history.evaluated(1, result(1))
    path = tmp_path / "history.csv"
    names, line, _ = path.read_text().split("\n")
    path.write_text(f"{names}\nno such line\n{line}\n")
    with opened(tmp_path, 2):
        assert [line["turn"] for line in written(tmp_path)] == ["1"]
    (beside,) = tmp_path.glob("aside-*-history.csv")
    assert "no such line" in beside.read_text()


def test_what_a_module_tells_of_an_evaluation_is_what_it_counted(tmp_path: Path) -> None:
    plan = planned(GNDGL(), depth=2, groups=1)
    told: list[Evaluated] = []
    last = plan.grid.rows[-1][0]
    with RunRecorder(RunDir(tmp_path), plan, last, turn=0, tell=told.append) as recorder:
        recorder.result(11, result(1))
    counted = asdict(result(1))
    del counted["images"]
    assert [*map(msgspec.structs.asdict, told)] == [counted]
    (line,) = metrics(RunDir(tmp_path).metrics(last)).lines
    assert line.evaluation == result(1)
