"""The folder of a run's sockets: private, removed at its end, swept without following a link."""

import fcntl
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import current_process
from pathlib import Path

import psutil
import pytest

from comm.errors import BadInput
from runtime.session import session
from tests.runs import ROOT, until

HERE = f"loci-{os.getuid()}"


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files, for this process too; its path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="ls") as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", name)
        yield Path(name)
    assert "tempdir" not in current_process()._config  # type: ignore[attr-defined]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A stranger's folder that looks as if sessions had been there: nothing in it may change."""
    folder = tmp_path / "victim"
    for name in ("photos", "letters"):
        (folder / name).mkdir(parents=True, mode=0o700)
        (folder / name / "lock").touch()
        (folder / name / "dear").write_text("irreplaceable")
    folder.chmod(0o700)
    return folder


def content(folder: Path) -> dict[str, tuple[int, str]]:
    """Every path below a folder, its mode, and what the files say."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.read_text() if path.is_file() and not path.is_symlink() else "",
        )
        for path in sorted(folder.rglob("*"))
    }


def stale(root: Path, name: str) -> Path:
    """A folder that a killed launcher left behind."""
    folder = root / name
    folder.mkdir(mode=0o700)
    (folder / "lock").touch(mode=0o600)
    (folder / "deeper").mkdir()
    (folder / "deeper" / "socket").touch()
    return folder


def test_a_session_is_private_and_leaves_nothing(temporary: Path) -> None:
    with session() as folder:
        assert folder.parent == temporary / HERE
        for path in (folder, folder.parent):
            assert stat.S_IMODE(path.lstat().st_mode) == 0o700
        with session() as same:
            assert same == folder
    assert sorted(content(temporary)) == [HERE, f"{HERE}/sweep.lock"]


def test_what_a_killed_launcher_left_is_swept_and_the_living_are_not(temporary: Path) -> None:
    dies = "import os; from runtime.session import session\nwith session(): os._exit(0)"
    with session() as mine:
        left = stale(mine.parent, "left")
        subprocess.run(
            [sys.executable, "-c", dies], cwd=ROOT, env={"TMPDIR": str(temporary)}, check=True
        )
        assert not left.exists()
        assert (mine / "lock").exists()
        (theirs,) = {*mine.parent.iterdir()} - {mine, mine.parent / "sweep.lock"}
    with session():
        assert not theirs.exists()  # it died without removing its folder


def test_a_link_instead_of_the_root_is_refused_and_not_followed(
    temporary: Path, victim: Path
) -> None:
    before = content(victim)
    (temporary / HERE).symlink_to(victim)
    with pytest.raises(BadInput, match=rf"{HERE} is a link.*remove it"), session():
        pass
    assert content(victim) == before


def test_no_link_below_the_root_is_followed(temporary: Path, victim: Path) -> None:
    root = temporary / HERE
    root.mkdir(mode=0o700)
    before = content(victim)
    (root / "linked").symlink_to(victim / "photos")  # instead of a session's folder
    (stale(root, "inside") / "deeper" / "out").symlink_to(victim)  # inside of one that is swept
    lock = stale(root, "locked") / "lock"
    lock.unlink()
    lock.symlink_to(victim / "letters" / "lock")  # instead of a lock
    with session():
        assert not (root / "inside").exists()
        assert (root / "linked").is_symlink() and (root / "locked" / "deeper").is_dir()
    assert content(victim) == before


def test_a_link_instead_of_the_sweepers_lock_is_refused(temporary: Path, victim: Path) -> None:
    root = temporary / HERE
    root.mkdir(mode=0o700)
    (root / "sweep.lock").symlink_to(victim / "new")
    with pytest.raises(BadInput, match=r"sweep\.lock can not be opened .*remove it"), session():
        pass
    assert not (victim / "new").exists()


def test_only_private_folders_that_hold_a_lock_are_swept(temporary: Path) -> None:
    root = temporary / HERE
    root.mkdir(mode=0o700)
    (root / "notes").mkdir(mode=0o700)
    (root / "notes" / "dear").write_text("irreplaceable")
    stale(root, "shared").chmod(0o755)
    folder = stale(root, "odd")
    (folder / "lock").unlink()
    os.mkfifo(folder / "lock", 0o600)
    (root / "file").write_text("irreplaceable")
    if os.getuid() == 0:  # who may enter everywhere, and has to ask whose it is
        os.chown(stale(root, "another's"), 12345, 12345)
    before = content(root)
    with session():
        pass
    after = content(root)
    assert after.pop("sweep.lock")
    assert after == before


def test_a_session_begins_only_when_no_other_one_does(temporary: Path) -> None:
    begins = "from runtime.session import session\nwith session() as folder: print(folder)"
    with session() as mine, (mine.parent / "sweep.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = {*mine.parent.iterdir()}
        theirs = subprocess.Popen(
            [sys.executable, "-c", begins],
            cwd=ROOT,
            env={"TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
        )
        until(lambda: lock.name in opened_by(theirs.pid), timeout=30, why="it wants to begin")
        with pytest.raises(subprocess.TimeoutExpired):
            theirs.communicate(timeout=0.2)
        assert {*mine.parent.iterdir()} == before
        fcntl.flock(lock, fcntl.LOCK_UN)
        said, _ = theirs.communicate(timeout=30)
    assert theirs.returncode == 0 and Path(said.decode().strip()).parent == mine.parent


def opened_by(pid: int) -> list[str]:
    return [file.path for file in psutil.Process(pid).open_files()]


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o702])
def test_a_root_that_others_may_enter_is_refused(temporary: Path, mode: int) -> None:
    (temporary / HERE).mkdir()
    (temporary / HERE).chmod(mode)
    with pytest.raises(BadInput, match="is not private to you"), session():
        pass


def test_a_file_instead_of_the_root_is_refused(temporary: Path) -> None:
    (temporary / HERE).touch()
    with pytest.raises(BadInput, match=rf"{HERE} is no folder.*remove it"), session():
        pass


def test_a_folder_for_temporary_files_that_can_not_be_written_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc")  # where not even root makes a folder
    with pytest.raises(BadInput, match=r"/proc/loci-\d+ can not be made .*set TMPDIR"), session():
        pass
