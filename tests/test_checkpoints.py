"""Going on from checkpoints: from the newest that is whole, and nothing else is ever deleted."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from safetensors.torch import load, save

from comm.errors import BadInput, Damaged, NotWritten
from runtime.opening import checked, claim, settled
from runtime.resuming import going_on
from tests.here import SMALL, command, edit, resume
from tests.runs import traces
from workers import aside, checkpoint

# Six steps, saved, and a batch of evaluation, twice; and the end.
TURNS = FIRST, BEFORE, LAST = "turn-0000006", "turn-0000013", "turn-0000014"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    root = tmp_path_factory.mktemp("whole") / "run"
    answer = command(*SMALL, "--debug", "--run-dir", root)
    assert answer.code == 0, answer.err
    assert sorted(path.name for path in (root / "checkpoints").iterdir()) == [*TURNS]
    return root


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def flip(path: Path) -> None:
    """One bit in the middle."""
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 1
    path.write_bytes(stored)


def foreign(path: Path) -> None:
    """Bytes of something else, and their checksum in the note: only reading them can tell."""
    path.write_bytes(b"\xff\xfe and no tensors")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(path.with_suffix(".json"), sha256=digest)


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a bit of the weights": ("k1g0.safetensors", flip),
    "foreign weights, noted": ("k0g0.safetensors", foreign),
    "torn weights": ("k2g0.safetensors", lambda path: os.truncate(path, 99)),
    "no weights": ("k1g0.safetensors", Path.unlink),
    "a torn note": ("k1g0.json", lambda path: os.truncate(path, 40)),
    "a binary note": ("k1g0.json", lambda path: path.write_bytes(b'{"format":"\xff\xfe"}')),
    "no note": ("k2g0.json", Path.unlink),
    "a note of another turn": ("k1g0.json", lambda path: edit(path, turn=13)),
    "a note of another module": ("k1g0.json", lambda path: edit(path, address="k0g0")),
    "a note of another format": ("k1g0.json", lambda path: edit(path, format=1)),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_moved_aside_and_the_one_before_is_whole(
    name: str, run: Path, whole: Path
) -> None:
    file, damage = DAMAGES[name]
    damage(run / "checkpoints" / LAST / file)
    before = contents(run / "checkpoints" / LAST)
    answer = resume(run)
    assert answer.code == 0, answer.err
    assert "from batch 13 of 14" in answer.out
    (moved,) = (run / "checkpoints").glob("aside-*")
    assert f"moved to {moved}" in answer.out and LAST in answer.out
    assert contents(moved / LAST) == before, "what can not be used is kept as it was"
    assert traces(run) == traces(whole)
    if "weights" in name and "no" not in name.split():
        assert f"{run}/checkpoints/{LAST}/{file} is damaged: " in answer.out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_without_any_checkpoint_to_go_on_from_none_is_lost(run: Path, whole: Path) -> None:
    for turn in TURNS:
        flip(run / "checkpoints" / turn / "k0g0.safetensors")
    before = {turn: contents(run / "checkpoints" / turn) for turn in TURNS}
    answer = resume(run)
    assert answer.code == 0, answer.err
    assert "from the beginning: it has no complete checkpoint" in answer.out
    assert answer.out.count("k0g0.safetensors is damaged: its checksum") == 3
    (moved,) = (run / "checkpoints").glob("aside-*")
    assert {turn: contents(moved / turn) for turn in TURNS} == before
    assert traces(run) == traces(whole)


def test_a_plan_that_is_missing_is_drawn_again_and_the_checkpoints_are_of_it(run: Path) -> None:
    shutil.rmtree(run / "checkpoints" / LAST)
    plan = (run / "plan.json").read_bytes()
    (run / "plan.json").unlink()
    answer = resume(run)
    assert answer.code == 0 and "from batch 13 of 14" in answer.out, answer.err
    assert (run / "plan.json").read_bytes() == plan
    assert not [*(run / "checkpoints").glob("aside-*")]


def test_evaluating_takes_the_newest_whole_one_and_moves_nothing(run: Path) -> None:
    flip(run / "checkpoints" / LAST / "k1g0.safetensors")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    answer = command("evaluate", run)
    assert answer.code == 0, answer.err
    assert "k1g0.safetensors is damaged" in answer.out and "weights of step 12" in answer.out
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    flip(run / "checkpoints" / BEFORE / "k2g0.safetensors")
    assert "after step 6" in command("evaluate", run).out
    flip(run / "checkpoints" / FIRST / "k0g0.safetensors")
    answer = command("evaluate", run)
    assert answer.code == 2
    assert answer.err.count("is damaged: its checksum") == 3
    assert "the run has no complete checkpoint" in answer.err


def test_only_the_last_checkpoint_is_read_unless_it_is_damaged(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    tensors_of = checkpoint.tensors_of

    def spy(here: Path, address: str) -> object:
        read.append(here.name)
        return tensors_of(here, address)

    monkeypatch.setattr(checkpoint, "tensors_of", spy)
    answer = resume(run)
    assert answer.code == 0 and "is complete" in answer.out
    assert read == [LAST] * 3


def test_tensors_of_another_network_are_refused_by_the_file_s_name(run: Path) -> None:
    """Whoever can note a checksum can note a wrong one: what is inside is looked at as well."""
    path = run / "checkpoints" / LAST / "k0g0.safetensors"
    tensors = load(path.read_bytes())
    name = next(name for name in tensors if name.startswith("optimizer."))
    for wrong in (
        {"module.strange": tensors[name].clone()},
        {f"{name}.strange": tensors[name].clone()},
        {name: tensors[name].flatten()[:3].clone()},
    ):
        path.write_bytes(save({**tensors, **wrong}))
        edit(path.with_suffix(".json"), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        answer = command("evaluate", run)
        (line,) = answer.err.splitlines()
        assert answer.code == 2 and f"{path} is damaged: it is of another" in line
    path.write_bytes(save(tensors))
    edit(path.with_suffix(".json"), sha256="0" * 64)  # negative control, and the checksum's own
    with pytest.raises(Damaged, match="its checksum is not the one"):
        checkpoint.tensors_of(path.parent, "k0g0")


def test_a_name_is_on_the_disk_before_it_is_relied_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename is not: until its folder is synced, a power cut may bring the old name back."""
    synced: list[tuple[str, list[str]]] = []
    fsync = os.fsync

    def spy(handle: int) -> None:
        path = os.readlink(f"/proc/self/fd/{handle}")
        synced.append((path, sorted(os.listdir(path)) if os.path.isdir(path) else []))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    aside.replace(tmp_path / "file", b"content")
    part, folder = synced
    assert part == (f"{tmp_path}/file.part", [])
    assert folder == (str(tmp_path), ["file"])
    aside.make_folder(tmp_path / "folder")
    assert synced[-1] == (str(tmp_path), ["file", "folder"])


def test_whatever_a_run_writes_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for metrics, which grow line by line, and the lock, which is empty."""
    renamed: list[str] = []
    rename = Path.replace

    def spy(self: Path, target: Path) -> Path:
        renamed.append(str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    root = tmp_path / "run"
    assert command(*SMALL, "--max-steps", "1", "--debug", "--run-dir", root).code == 0
    written = {str(path) for path in root.rglob("*") if path.is_file()}
    assert {Path(path).name for path in written - {*renamed}} == {"lock", "metrics.jsonl"}
    assert {f"{root}/config.json", f"{root}/plan.json", f"{root}/summary.json"} < written


def test_what_can_not_be_written_leaves_all_as_it_was(tmp_path: Path) -> None:
    aside.replace(tmp_path / "file", b"old")
    (tmp_path / "other").mkdir()
    with pytest.raises(NotWritten, match="other could not be written: Is a directory"):
        aside.replace(tmp_path / "other", b"new")
    with pytest.raises(NotWritten, match="gone/file is gone: its folder was renamed or removed"):
        aside.replace(tmp_path / "gone" / "file", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "other"]


def test_how_a_run_went_on_is_written_down(run: Path) -> None:
    flip(run / "checkpoints" / LAST / "k1g0.safetensors")
    assert resume(run).code == 0
    (line,) = (run / "resumes.jsonl").read_bytes().splitlines()
    found = msgspec.json.decode(line)
    assert (found["turn"], found["exact"], found["changes"]) == (13, True, [])
    assert "is damaged" in " ".join(found["words"]) and "moved to" in " ".join(found["words"])


def test_a_run_that_went_on_meanwhile_is_left_alone(run: Path) -> None:
    """It was alive when its checkpoints were looked at, and has ended when its lock was free."""
    shutil.rmtree(run / "checkpoints" / LAST)
    opened = checked(settled(going_on(run)))
    assert opened.start == 13
    shutil.copytree(run / "checkpoints" / BEFORE, run / "checkpoints" / LAST)
    with pytest.raises(BadInput, match=f"a run in {run} has gone on meanwhile: start again"):
        claim(opened)
    assert not [*run.glob("checkpoints/aside-*")] and not (run / "resumes.jsonl").exists()


def test_a_checkpoint_of_another_plan_is_none_of_this_run(run: Path) -> None:
    for path in (run / "checkpoints" / LAST).glob("*.json"):
        edit(path, plan="0" * 64)
    answer = resume(run)
    assert answer.code == 0 and "from batch 13 of 14" in answer.out, answer.err
    (moved,) = (run / "checkpoints").glob("aside-*")
    assert [path.name for path in moved.iterdir()] == [LAST]
