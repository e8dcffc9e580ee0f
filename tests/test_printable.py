"""What a file is called reaches the terminal as text, never as a command to it."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from comm.errors import BadInput
from comm.printable import printable
from tests.runs import launch, until
from workers.data.config import DataConfig
from workers.data.lock import alone
from workers.data.prepare import prepare

# Clears the screen, sets the title, ends the line, turns the reading direction, is no text.
NASTY = "\x1b[2J\x1b]0;title\x07\nerror: \u202egnp\udcff"
HARMLESS = r"\x1b[2J\x1b]0;title\x07\nerror: \u202egnp\udcff"


@given(st.text(st.characters(codec=None), max_size=20))
def test_nothing_but_shapes_comes_out(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable() and printable(shown) == shown
    assert shown == text or not text.isprintable()


def test_what_has_a_shape_stays_as_it_is() -> None:
    for text in ("train/Hütte/été 1.png", "訓練/猫.png", r"C:\x1b", "🙂.png"):
        assert printable(text) == text
    assert printable(NASTY) == HARMLESS


def test_a_problem_is_one_line_and_is_not_escaped_twice() -> None:
    once = BadInput([f"file {NASTY}"])
    assert once.problems == (f"file {HARMLESS}",)
    assert BadInput([*once.problems, "another"]).problems == (f"file {HARMLESS}", "another")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images whose folder, class, file and stray folder are called as badly as Linux allows."""
    root = tmp_path / f"images{NASTY[:-1]}"  # text, but no more
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(root / split / name / "0.png")
    return root


def test_names_of_files_and_classes_are_told_escaped(images: Path) -> None:
    (images / "train" / "cat" / f"{NASTY}.png").write_bytes(b"?")
    (images / "train" / "cat" / NASTY).mkdir()
    (images / "train" / NASTY).mkdir()
    ended = launch("train", "--dataset", "folder", "--data-dir", images, "--image-size", "8")
    assert ended.code == 2 and ended.out == ""
    for problem in ended.err.splitlines():
        assert problem.startswith("error: ") and problem.isprintable()
    for expected in (
        f"train/cat/{HARMLESS}.png cannot be read as an image",
        f"train/cat/{HARMLESS} is a folder",
        f"class folder '{HARMLESS}': rename it",
    ):
        assert expected in ended.err


def test_a_data_dir_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """config.json could not hold it; bytes that are no UTF-8 are surrogates in Python."""
    root = tmp_path / "images\udcff"
    (root / "train" / "cat").mkdir(parents=True)
    with pytest.raises(BadInput) as caught:
        prepare(DataConfig(dataset="folder", data_dir=root))
    (problem,) = caught.value.problems
    assert problem.startswith(
        f"--data-dir {tmp_path}/images\\udcff: a run records where its images"
    )


def test_lines_about_what_goes_on_are_escaped(
    images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.data.progress.QUIET", 0.0)
    monkeypatch.setattr("workers.data.lock.PATIENCE", 0.0)
    monkeypatch.setenv("LOCI_CACHE", str(images / "cache"))
    prepare(DataConfig(dataset="folder", data_dir=images))
    shown = capsys.readouterr().err
    assert f"reading the images of {printable(str(images))}: " in shown
    assert all(line.isprintable() for line in shown.splitlines())


def test_a_lock_that_is_waited_for_is_named_escaped(
    images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.data.lock.PATIENCE", 0.0)

    def wait() -> None:
        with alone(images / "lock"):
            pass

    waiting = threading.Thread(target=wait)
    said: list[str] = []
    with alone(images / "lock"):
        waiting.start()
        until(
            lambda: said.append(capsys.readouterr().err) or said[-1], timeout=10, why="it says so"
        )
    waiting.join()
    assert said[-1] == f"waiting for another process that holds {printable(str(images))}/lock\n"
