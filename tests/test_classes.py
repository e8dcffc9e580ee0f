"""A run keeps the names of its classes, for whoever reads its answers later."""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from comm.errors import BadInput
from runtime.classes import NAME, read_classes, write_classes
from tests.runs import launch

RUN = (
    *("train", "backprop", "--network", "mlp", "--widths", "8", "8", "--debug"),
    *("--max-steps", "2", "--batch", "2"),
)


def folder(root: Path, *names: str) -> Path:
    for split in ("train", "test"):
        for name in names:
            (root / split / name).mkdir(parents=True)
            for index in range(2):
                Image.new("RGB", (8, 8)).save(root / split / name / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on a folder of two classes, images/ beside it."""
    root = tmp_path_factory.mktemp("classes")
    images = folder(root / "images", "Kätzchen", "dog")
    done = launch(*RUN, "--dataset", "folder", "--data-dir", images, "--run-dir", root / "run")
    assert done.code == 0, done.err
    return root / "run"


def test_a_run_directory_names_its_classes(run: Path) -> None:
    assert read_classes(run) == ("Kätzchen", "dog")
    assert json.loads((run / NAME).read_bytes()) == {"classes": ["Kätzchen", "dog"]}
    assert not [path.name for path in run.iterdir() if path.suffix == ".part"]


def test_datasets_without_folders_have_names_too(tmp_path: Path) -> None:
    done = launch(*RUN, "--run-dir", tmp_path / "run")
    assert done.code == 0, done.err
    assert read_classes(tmp_path / "run") == tuple("0123456789")


@pytest.mark.parametrize("damage", [None, b"", b"{}", b'{"classes": 3}', b'{"classes": ["\xff"]}'])
def test_a_missing_or_damaged_file_says_what_to_do_and_resuming_mends_it(
    damage: bytes | None, run: Path, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    (copied / NAME).unlink()
    if damage is not None:
        (copied / NAME).write_bytes(damage)
    with pytest.raises(BadInput) as caught:
        read_classes(copied)
    (problem,) = caught.value.problems
    assert problem.startswith(str(copied / NAME))
    assert f"train --resume {copied} writes it again" in problem
    if damage == b"":
        done = launch("train", "--resume", copied, "--debug")
        assert done.code == 0, done.err
        assert read_classes(copied) == ("Kätzchen", "dog")


def test_what_is_written_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path, ["a", "b"])

    def killed(file: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_classes(tmp_path, ["c"])
    assert read_classes(tmp_path) == ("a", "b")


def test_evaluating_on_other_classes_says_which(run: Path, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", "dog", "eel")
    ended = launch("evaluate", run, "--data-dir", images)
    assert ended.code == 2
    assert ended.err.splitlines() == [
        f"error: {run}: its images are not those it was trained with",
        f"error: {run}: classes only in the run: Kätzchen",
        f"error: {run}: classes only among the images: eel",
    ]
    moved = folder(tmp_path / "moved", "Kätzchen", "dog")
    assert launch("evaluate", run, "--data-dir", moved).code == 0
