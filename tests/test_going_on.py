"""What may be given beside --resume, what it does to the numbers; runs made on another device."""

import hashlib
import shutil
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import save

from tests.here import SMALL, command, edit, resume
from tests.runs import traces

ONE = "turn-0000006"  # the checkpoint after the first of two epochs


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    root = tmp_path_factory.mktemp("whole") / "run"
    answer = command(*SMALL, "--debug", "--run-dir", root)
    assert answer.code == 0, answer.err
    return root


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, as if it had been killed in the middle of its second epoch."""
    root = Path(shutil.copytree(whole, tmp_path / "run"))
    for folder in (root / "checkpoints").iterdir():
        if folder.name != ONE:
            shutil.rmtree(folder)
    return root


@pytest.fixture
def from_a_gpu(run: Path) -> Path:
    """The same, as a run on GPUs leaves it."""
    edit(run / "config.json", device="cuda")
    return run


def setting(root: Path, name: str) -> object:
    return msgspec.json.decode((root / "config.json").read_bytes())["run"][name]


def resumes(root: Path) -> list[dict[str, object]]:
    return [*map(msgspec.json.decode, (root / "resumes.jsonl").read_bytes().splitlines())]


def test_evaluating_a_run_from_a_gpu_goes_to_the_cpu_with_a_word(from_a_gpu: Path) -> None:
    answer = command("evaluate", from_a_gpu)
    assert answer.code == 0, answer.err
    assert "made on a GPU, and torch sees none here: evaluated on the CPU" in answer.out
    edit(from_a_gpu / "config.json", device="cpu")  # negative control
    assert "GPU" not in command("evaluate", from_a_gpu).out


def test_replaying_a_run_from_a_gpu_goes_to_the_cpu_with_a_word(tmp_path: Path) -> None:
    root = tmp_path / "run"
    words = ("train", "dgl", *SMALL[2:], "--replay", "2", "--debug", "--run-dir", root)
    assert command(*words).code == 0
    edit(root / "config.json", device="cuda")
    answer = command("replay", root)
    assert "made on a GPU, and torch sees none here: made again on the CPU" in answer.out
    assert answer.code == 0, answer.out  # it was made on a CPU after all


def test_going_on_without_the_gpu_has_to_be_asked_for_is_said_and_is_recorded(
    from_a_gpu: Path, whole: Path
) -> None:
    refused = resume(from_a_gpu)
    assert refused.code == 2
    assert "the run was made on a GPU, and torch sees none here: add --device cpu" in refused.err
    answer = resume(from_a_gpu, "--device", "cpu")
    assert answer.code == 0, answer.err
    word = "--device cpu (before: --device cuda): from "
    assert f"going on with {word}here on the last bits are not those of" in answer.out
    assert setting(from_a_gpu, "device") == "cpu"
    (line,) = resumes(from_a_gpu)
    assert (line["turn"], line["exact"]) == (6, False)
    assert line["changes"] == ["--device cpu (before: --device cuda)"]
    assert f"went on from batch 6 with {word}there on" in " ".join(answer.out.split())
    assert word in " ".join((from_a_gpu / "summary.txt").read_text().split())
    assert traces(from_a_gpu) == traces(whole)  # it was made on a CPU after all


def test_a_run_keeps_its_number_of_threads_and_another_is_recorded(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runtime import devices, ready

    for room in (devices, ready):
        monkeypatch.setattr(room, "cores", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(devices.psutil.Process, "cpu_affinity", lambda self, cores: None)
    assert setting(run, "threads") == 1
    edit(run / "config.json", threads=8)  # of a host with more cores
    refused = resume(run)
    assert refused.code == 2 and "--threads 8: this host has 4 cores" in refused.err
    answer = resume(run, "--threads", "2")
    assert answer.code == 0, answer.err
    assert "--threads 2 (before: --threads 8): from here on the last bits" in answer.out
    assert setting(run, "threads") == 2
    assert resumes(run)[-1]["exact"] is False


def test_the_number_of_threads_is_settled_when_a_run_begins(tmp_path: Path) -> None:
    assert SMALL[-2:] == ("--threads", "1")
    answer = command(*SMALL[:-2], "--max-steps", "1", "--debug", "--run-dir", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert isinstance(setting(tmp_path / "run", "threads"), int)


def test_what_changes_no_number_may_be_given_again_and_stays(run: Path, whole: Path) -> None:
    answer = resume(run, "--save-every", "2", "--stall", "77", "--save-minutes", "5")
    assert answer.code == 0, answer.err
    assert "last bits" not in answer.out
    assert (setting(run, "save_every"), setting(run, "stall")) == (2, 77.0)
    (line,) = resumes(run)
    assert line["exact"] is True and len(line["changes"]) == 3  # type: ignore[arg-type]
    assert sorted(path.name for path in (run / "checkpoints").iterdir())[:2] == [
        ONE,
        "turn-0000013",
    ]
    assert traces(run) == traces(whole)


def test_what_is_given_as_it_was_changes_nothing(run: Path, whole: Path) -> None:
    answer = resume(run, "--seed", "0", "--epochs", "2", "--save-every", "1")
    assert answer.code == 0, answer.err
    assert resumes(run)[0]["changes"] == []
    assert traces(run) == traces(whole)


def test_more_epochs_are_the_run_that_had_them_from_its_start(whole: Path, tmp_path: Path) -> None:
    """It has reached its end, and goes on; and then goes on as if it had always been so."""
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    answer = resume(run, "--epochs", "3")
    assert answer.code == 0, answer.err
    assert "from batch 14 of 21" in answer.out
    anew = command(*SMALL, "--epochs", "3", "--debug", "--run-dir", tmp_path / "anew")
    assert anew.code == 0, anew.err
    assert traces(run) == traces(tmp_path / "anew")
    assert msgspec.json.decode((run / "config.json").read_bytes())["optim"]["epochs"] == 3


SCHEDULES: dict[str, tuple[str, str | None]] = {
    "cosine": ("--schedule cosine", "step 1 was trained with "),
    "cosine that does not follow": ("--schedule cosine --period 2 --warmup 1", None),
    "cosine whose warm-up follows": ("--schedule cosine --period 2", "step 1 was trained with "),
    "milestones": ("--schedule step --milestones 1 3", None),
    "milestones that follow": ("--schedule step", "step 6 was trained with "),
    "milestones that follow, ahead": ("--schedule step --epochs 16", None),
    "once per epoch, in the first": ("--schedule cosine --lr-every epoch", None),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_more_epochs_only_where_the_past_stays_the_same(name: str, tmp_path: Path) -> None:
    words, why = SCHEDULES[name]
    root = tmp_path / "run"
    given = (*SMALL, "--epochs", "2", *words.split(), "--max-steps", "11", "--debug")
    assert command(*given, "--eval-every", "0", "--run-dir", root).code == 0
    shutil.rmtree(root / "checkpoints" / "turn-0000011")
    if why and why.startswith("step 6"):  # it has to have dropped
        (root / "checkpoints" / ONE).rename(root / "checkpoints" / "turn-0000009")
        for note in (root / "checkpoints").glob("*/*.json"):
            edit(note, turn=9, step=9)
    before = (root / "config.json").read_bytes()
    answer = resume(root, "--epochs", "20")
    if why is None:
        assert answer.code == 0, answer.err
        return
    assert answer.code == 2
    (line,) = answer.err.splitlines()
    assert "--epochs 20: the learning rate follows --epochs" in line and why in line
    assert "--schedule constant" in line
    assert (root / "config.json").read_bytes() == before
    assert (root / "summary.json").exists(), "nothing was touched"


def test_fewer_epochs_than_trained_and_evaluations_that_would_move_are_refused(
    whole: Path, tmp_path: Path
) -> None:
    answer = resume(Path(shutil.copytree(whole, tmp_path / "a")), "--epochs", "1")
    assert answer.code == 2
    assert "--epochs 1: the run has trained 12 steps of 6 an epoch" in answer.err
    root = tmp_path / "b"
    words = (*SMALL, "--val-split", "0.1", "--debug", "--run-dir", root)
    assert command(*words).code == 0
    answer = resume(root, "--epochs", "3")
    assert answer.code == 2
    assert "--epochs 3: the run has made its last evaluation, which would come" in answer.err


def test_a_timing_of_an_earlier_stretch_is_not_told_as_one_of_this(run: Path) -> None:
    """Today's stretch fails: then nobody measured anything that the summary could show."""
    assert (run / "modules" / "k1g0" / "timing.json").exists()
    for path in run.glob("checkpoints/*/k1g0.safetensors"):  # no damage, but of another network
        foreign = save({"module.strange": torch.zeros(1)})
        path.write_bytes(foreign)
        edit(path.with_suffix(".json"), sha256=hashlib.sha256(foreign).hexdigest())
    answer = resume(run)
    assert answer.code == 2 and "k1g0.safetensors is damaged: it is of another" in answer.err
    assert not [*run.glob("modules/*/timing.json")]
    assert not (run / "summary.json").exists() and not (run / "summary.txt").exists()


def test_damaged_metrics_are_kept_beside_and_what_can_be_read_stays(run: Path, whole: Path) -> None:
    path = run / "modules" / "k0g0" / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    before = b"".join([*lines[:2], b"\xff\xfe\x00\n", *lines[3:9], lines[9][:20]])
    path.write_bytes(before)
    answer = resume(run)
    assert answer.code == 0, answer.err
    (kept,) = path.parent.glob("aside-*-metrics.jsonl")
    assert kept.read_bytes() == before
    assert f"{path} is damaged: line 3 can not be read: as it was it is {kept}" in answer.out
    assert path.read_bytes() == b"".join([*lines[:2], *lines[3:]])
    others = [name for name in traces(whole) if "k0g0/metrics" not in name and "aside" not in name]
    assert all(traces(run)[name] == traces(whole)[name] for name in others)


def test_a_run_whose_plan_would_be_another_today_is_refused_and_left_as_it_is(run: Path) -> None:
    edit(run / "plan.json", whole_macs=1)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    answer = resume(run)
    assert answer.code == 2
    assert "the plan drawn now is not the one recorded there (the data or the code" in answer.err
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*")}


def test_half_a_line_at_the_end_is_normal_after_a_kill(run: Path, whole: Path) -> None:
    path = run / "modules" / "k0g0" / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    answer = resume(run)
    assert answer.code == 0 and "damaged" not in answer.out
    assert traces(run) == traces(whole)
