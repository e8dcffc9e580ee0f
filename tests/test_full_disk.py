"""A disk that is full, and a run directory that is taken away: told at once, in one line."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from comm.errors import NotWritten
from tests.here import SMALL, command
from tests.runs import launch, lines, started, until
from workers.record import MetricsFile

ENDLESS = (*SMALL, "--epochs", "100000", "--eval-every", "0", "--save-every", "0")


@pytest.fixture
def disk() -> Iterator[Path]:
    """A file system of its own, of 512 KiB."""
    here = Path(tempfile.mkdtemp(prefix="lt"))  # short: the path of a socket in it has a limit
    mount = ("mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(here))
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        here.rmdir()
        pytest.skip("only root may mount a small file system here")
    yield here
    subprocess.run(("umount", "--lazy", str(here)), check=True)
    here.rmdir()


def fill(disk: Path, *, leave: int) -> None:
    """Use up all of it but some bytes."""
    free = shutil.disk_usage(disk).free - leave
    (disk / "filling").write_bytes(bytes(max(0, free)))


@pytest.mark.parametrize("more", [(), ("--debug",)], ids=["processes", "lockstep"])
def test_a_full_disk_is_one_line_with_module_step_and_file(
    disk: Path, more: tuple[str, ...]
) -> None:
    """Temporary files, in which processes tell their last, are on the same disk."""
    root = disk / "run"
    (disk / "tmp").mkdir()
    with started(*ENDLESS, *more, "--run-dir", root, TMPDIR=str(disk / "tmp")) as run:
        until(lambda: lines(root, "k1g0") > 3, timeout=90, why="the first steps")
        fill(disk, leave=0)
        ended = run.end(timeout=60)
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    assert ended.code == 1
    first = ended.err.splitlines()[0]
    module, _, rest = first.partition(" failed at step ")
    assert module in ("k0g0", "k1g0", "k2g0"), ended.err
    assert f": the disk is full: {root}/modules/{module}/metrics.jsonl could not" in rest
    assert "Traceback" not in ended.err
    if not more:
        assert f"everything is in {root}" in ended.out  # the summary's last line, whatever became
        written = (root / "summary.json").exists()  # of its files: there is room again, or not
        assert written != ("the summary stands here alone: the disk is full" in ended.err)


def test_a_checkpoint_that_finds_no_room_names_its_file_and_leaves_the_others(disk: Path) -> None:
    """It is a third of the disk: the third finds no room, and takes none."""
    root = disk / "run"
    answer = command(*SMALL, "--epochs", "4", "--debug", "--run-dir", root)
    assert answer.code == 1
    (line,) = answer.err.splitlines()
    assert ": the disk is full: " in line and ".safetensors could not be written; make" in line
    assert line.startswith("k") and " failed at step " in line
    assert not [*root.rglob("*.part")]
    assert "(step 12)" in command("evaluate", root).out


def test_a_disk_that_is_full_at_once_is_told_before_anything_starts(disk: Path) -> None:
    fill(disk, leave=0)
    answer = command(*SMALL, "--debug", "--run-dir", disk / "run")
    assert answer.code in (1, 2)
    (line,) = answer.err.splitlines()
    assert str(disk) in line and ("disk is full" in line or "No space left" in line)


@pytest.mark.parametrize("what", ["renamed", "removed"])
def test_a_run_directory_that_is_taken_away_is_told_at_once(tmp_path: Path, what: str) -> None:
    root = tmp_path / "run"
    with started(*ENDLESS, "--run-dir", root) as run:
        until(lambda: lines(root, "k1g0") > 3, timeout=90, why="the first steps")
        if what == "renamed":
            root.rename(tmp_path / "elsewhere")
        else:
            shutil.rmtree(root)
        ended = run.end(timeout=15)
        until(lambda: not run.alive(), timeout=1, why="all processes are gone")
    assert ended.code == 1
    first = ended.err.splitlines()[0]
    module = " failed at step " in first and "is gone: its folder was renamed or removed" in first
    assert module or first.startswith(f"the run directory {root} was moved or removed"), first
    assert "Traceback" not in ended.err
    assert not root.exists(), "nobody makes it anew"
    if what == "renamed":
        ended = launch("train", "--resume", tmp_path / "elsewhere", "--debug", "--epochs", "1")
        assert ended.code == 0, ended.err


def test_a_file_that_was_put_in_its_place_is_not_its_own(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path) as metrics:
        metrics.lesson(turn=0, step=0, epoch=1, values={"loss": 1.0})
        path.rename(tmp_path / "before")
        path.touch()
        with pytest.raises(NotWritten, match="is gone"):
            metrics.lesson(turn=1, step=1, epoch=1, values={"loss": 1.0})
    assert path.read_bytes() == b""


def test_a_line_that_finds_room_for_a_part_of_it_is_not_taken_for_written(disk: Path) -> None:
    fill(disk, leave=2 * 4096)  # bytes: a page for the file, and another
    with MetricsFile(disk / "metrics.jsonl") as metrics:
        with pytest.raises(NotWritten, match="the disk is full: "):
            metrics.lesson(turn=0, step=0, epoch=1, values={"x" * 20000: 1.0})
        assert 0 < (disk / "metrics.jsonl").stat().st_size < 20000
