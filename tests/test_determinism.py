"""The same command gives the same bytes: again, at any window, resumed, in lockstep, by torchrun.

Compared are every module's metrics.jsonl and its last weights, of a small ResNet on the digits.
"""

import re
import signal
import time
from pathlib import Path

import msgspec
import pytest

from tests.runs import TORCHRUN, checkpoints, evaluated, launch, lines, started, traces, until

RUN = (
    *("train", "gn-dgl", "--network", "resnet8", "--widths", "8", "8", "16", "32"),
    *("--image-size", "16", "--batch", "240"),
    *("--depth", "2", "--groups", "2", "--epochs", "6", "--max-steps", "32"),  # 6 steps an epoch
)
MODULES = 5  # 2 x 2 and the read-out head
KEPT = ("--save-every", "1")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    root = tmp_path_factory.mktemp("determinism") / "run"
    ended = launch(*RUN, *KEPT, "--run-dir", root)
    assert ended.code == 0, ended.err
    return root


@pytest.mark.parametrize(
    "more",
    [KEPT, ("--window", "1"), ("--window", "9"), ("--debug",)],
    ids=["again", "window 1", "window 9", "lockstep"],
)
def test_the_same_command_gives_the_same_bytes(
    run_dir: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    ended = launch(*RUN, *more, "--run-dir", tmp_path / "run")
    assert ended.code == 0, ended.err
    assert traces(tmp_path / "run") == traces(run_dir)
    assert evaluated(tmp_path / "run") == evaluated(run_dir)


def test_torchrun_gives_the_same_bytes(run_dir: Path, tmp_path: Path) -> None:
    four = (*TORCHRUN, "--nproc-per-node", "4", "launch.py")
    with started(
        *RUN, "--run-dir", tmp_path / "run", program=four, cwd=Path(__file__).parents[1]
    ) as run:
        ended = run.end()
        assert ended.code == 0, ended.err
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    assert traces(tmp_path / "run") == traces(run_dir)
    assert evaluated(tmp_path / "run") == evaluated(run_dir)
    assert "finished" in ended.out
    assert re.findall(r"epoch \d+: test", ended.out) == [f"epoch {e}: test" for e in range(1, 7)]


def test_the_history_of_a_run_holds_its_evaluations(run_dir: Path) -> None:
    """What metrics.jsonl and the summary have without a clock."""
    found = msgspec.json.decode((run_dir / "summary.json").read_bytes())["evaluations"]
    assert len(found) == 6
    for line, result in zip(evaluated(run_dir), found, strict=True):
        assert {name: line[name] for name in ("epoch", "step", "split")} == {
            name: str(result[name]) for name in ("epoch", "step", "split")
        }
        shown = [line["row 0"], line["row 1"], line["head"], line["ensemble"], line["loss"]]
        values = [*result["rows"], result["head"], result["ensemble"], result["loss"]]
        assert [float(text) for text in shown] == pytest.approx(values, abs=1e-4)
        assert line["member"] == ""


def test_another_seed_gives_other_bytes(run_dir: Path, tmp_path: Path) -> None:
    """Negative control: the comparison sees a difference where there is one."""
    ended = launch(*RUN, "--debug", "--seed", "1", "--run-dir", tmp_path / "run")
    assert ended.code == 0, ended.err
    ours, theirs = traces(tmp_path / "run"), traces(run_dir)
    assert ours.keys() == theirs.keys()
    assert all(ours[name] != theirs[name] for name in ours)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(run_dir: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    with started(*RUN, *KEPT, "--run-dir", root) as run:
        until(lambda: checkpoints(root, MODULES), timeout=60, why="a checkpoint")
        run.process.send_signal(signal.SIGKILL)
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    before = len(checkpoints(root, MODULES))
    assert before < len(checkpoints(run_dir, MODULES))
    ended = launch("train", "--resume", root)
    assert ended.code == 0, ended.err
    assert traces(root) == traces(run_dir)
    assert evaluated(root) == evaluated(run_dir)


def test_ctrl_c_ends_all_modules_at_one_step_and_the_run_can_go_on_in_lockstep(
    run_dir: Path, tmp_path: Path
) -> None:
    root = tmp_path / "run"
    with started(*RUN, *KEPT, "--run-dir", root) as run:
        until(lambda: lines(root, "k0g0") >= 8, timeout=60, why="eight steps")
        run.interrupt()
        ended = run.end()
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
        assert run.left_behind() == []
    assert ended.code == 130
    assert "stopping after this step and saving; Ctrl-C again quits without" in ended.out
    assert "stopped as asked" in ended.out and "Traceback" not in ended.err
    assert (root / "summary.json").exists()
    *_, last = checkpoints(root, MODULES)
    notes = [msgspec.json.decode(path.read_bytes()) for path in last.glob("*.json")]
    (turn,) = {note["turn"] for note in notes}
    for path in root.glob("modules/*/metrics.jsonl"):  # nobody went further, nobody less far
        written = [msgspec.json.decode(line)["turn"] for line in path.read_bytes().splitlines()]
        steps = [t for t in written if t < turn]
        assert written == steps and len(written) >= 8
    assert len(checkpoints(root, MODULES)) < len(checkpoints(run_dir, MODULES))
    ended = launch("train", "--resume", root, "--debug")
    assert ended.code == 0, ended.err
    assert traces(root) == traces(run_dir)
    assert evaluated(root) == evaluated(run_dir)


def test_ctrl_c_in_lockstep_says_what_it_does_and_saves(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with started(*RUN, "--debug", "--epochs", "2000", "--run-dir", root) as run:
        until(lambda: lines(root, "k0g0") >= 2, timeout=60, why="two steps")
        run.interrupt()
        ended = run.end()
    assert ended.code == 130 and "Traceback" not in ended.err
    assert "stopping after this step and saving; Ctrl-C again quits without" in ended.out
    assert "stopped as asked" in ended.out and checkpoints(root, MODULES)


@pytest.mark.parametrize("after", [0.4, 0.6, 0.9, 1.2, 1.8, 2.6], ids=lambda after: f"{after:g} s")
def test_ctrl_c_while_the_run_starts_ends_it(tmp_path: Path, after: float) -> None:
    with started(*RUN, "--run-dir", tmp_path / "run") as run:
        time.sleep(after)
        run.interrupt()
        ended = run.end(timeout=20)
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
        assert run.left_behind() == []
    assert ended.code == 130
    assert "Traceback" not in ended.err


LENET = (
    *("dtp", "--network", "lenet", "--widths", "8", "8", "16", "--image-size", "16"),
    *("--noise", "0.4", "0.4", "0.1", "--feedback-lr", "1e-3", "1e-3", "1e-2"),
    *("--batch", "240", "--max-steps", "2", "--eval-every", "0"),
)
ITERATIONS = ("--iterations", "4", "5", "3")


def test_a_cut_that_was_measured_is_written_down_by_its_names(tmp_path: Path) -> None:
    root = tmp_path / "run"
    words = (*LENET, *ITERATIONS, "--depth", "2", "--replicas", "2", "1", "--cuts", "time")
    ended = launch("train", *words, "--run-dir", root)
    assert ended.code == 0, ended.err
    (cut,) = msgspec.json.decode((root / "config.json").read_bytes())["grid"]["cuts"]
    assert cut in ("conv_0", "conv_1", "fc_0")
    table = (root / "plan.txt").read_text()
    assert "speed-up in time, measured here" in " ".join(table.split())
    assert f"--cuts {cut}" in " ".join(table.split())
    again = launch("train", *words, "--cuts", cut, "--run-dir", tmp_path / "again")
    assert again.code == 0, again.err
    assert traces(tmp_path / "again") == traces(root)
    assert "complete" in launch("train", "--resume", root).out


def test_a_step_may_take_longer_than_the_patience_with_modules_that_hang(tmp_path: Path) -> None:
    """Feedback training goes on for minutes where networks are large: it says that it does."""
    root = tmp_path / "run"
    words = (*LENET, "--iterations", "800", "800", "800", "--max-steps", "1", "--threads", "1")
    ended = launch("train", *words, "--stall", "2", "--run-dir", root)
    assert ended.code == 0, ended.err
    (took,) = msgspec.json.decode((root / "modules/k0g0/timing.json").read_bytes())["recent"]
    assert took[0] > 2


def test_a_complete_run_has_nothing_to_go_on_with(run_dir: Path) -> None:
    before = traces(run_dir)
    ended = launch("train", "--resume", run_dir)
    assert ended.code == 0 and "complete" in ended.out
    assert traces(run_dir) == before


def test_evaluate_repeats_the_accuracies_of_the_last_evaluation(run_dir: Path) -> None:
    ended = launch("evaluate", run_dir)
    assert ended.code == 0, ended.err
    last = msgspec.json.decode((run_dir / "summary.json").read_bytes())["evaluations"][-1]
    shown = [*last["rows"], last["head"], last["ensemble"]]
    found = next(line for line in ended.out.splitlines() if "  test  " in line).split()
    assert found[:2] == [str(last["epoch"]), "test"]
    assert found[2:-1] == [f"{value:.2f}" for value in shown]
    assert found[-1] == f"{last['loss']:.4f}"
    *_, words = ended.out.splitlines()
    assert words.startswith(f"test accuracy {last['ensemble']:.2f} % after epoch {last['epoch']}")
    ended = launch("evaluate", run_dir, "--json")
    assert ended.code == 0, ended.err
    told = msgspec.json.decode(ended.out)
    assert (told.pop("reported"), told.pop("accuracy")) == ("ensemble", last["ensemble"])
    assert told == last
