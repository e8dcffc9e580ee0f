"""The session folder of one run on one host: rendezvous, sockets, temporary files, error notes.

    TMPDIR/loci-UID/              private (0700), of all sessions of a user
                    sweep.lock    held while a session begins
                    k3v9x2/       one session's folder, removed at its end
                           lock   held as long as its launcher lives

What a killed launcher left behind is swept by the next one that starts: a folder is stale when the
lock in it is free. Others may write to TMPDIR too, so no link is followed from there on, and a
folder that is not one's own, not private, or holds no lock is left alone.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import current_process
from pathlib import Path
from typing import Any, cast

from comm.errors import BadInput
from comm.telemetry import SOCKET_PATH_LIMIT

_LONGEST = "/12345678/listener-12345678"  # what multiprocessing puts below
_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_LOCK = os.O_RDWR
_ELSEWHERE = "remove it, or set TMPDIR to another folder"
_open: list[Path] = []


def _opened(stack: ExitStack, name: str | Path, flags: int, within: int | None = None) -> int:
    """A descriptor, until `stack` ends, of what has this name; OSError if that is a link."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=within)
    stack.callback(os.close, descriptor)
    return descriptor


def _private(descriptor: int) -> bool:
    found = os.fstat(descriptor)
    return found.st_uid == os.getuid() and not found.st_mode & 0o077


def _root(stack: ExitStack) -> tuple[Path, int]:
    """The folder of all sessions, and a descriptor of it: what goes on from that stays in there.

    Raises BadInput if there is something else by its name, or others may enter.
    """
    root = Path(tempfile.gettempdir()) / f"loci-{os.getuid()}"
    if len(bytes(root)) + len(_LONGEST) > SOCKET_PATH_LIMIT:
        raise BadInput([f"{root} is too long a path for sockets: set TMPDIR to a shorter one"])
    try:
        with suppress(FileExistsError):
            root.mkdir(mode=0o700)
        found = root.lstat().st_mode
        if not stat.S_ISDIR(found):
            what = "a link" if stat.S_ISLNK(found) else "no folder"
            raise BadInput([f"{root} is {what}, and sessions want a folder: {_ELSEWHERE}"])
        descriptor = _opened(stack, root, _FOLDER)
    except OSError as error:
        raise BadInput(
            [f"{root} can not be made ({error.strerror}): set TMPDIR to another folder"]
        ) from error
    if not _private(descriptor):
        raise BadInput([f"{root} is not private to you: {_ELSEWHERE}"])
    return root, descriptor


def _take_turn(stack: ExitStack, root: Path, within: int) -> None:
    """Wait until no other session begins: nobody sweeps what is about to be locked."""
    try:
        turn = _opened(stack, "sweep.lock", _LOCK | os.O_CREAT, within)
    except OSError as error:
        raise BadInput(
            [f"{root / 'sweep.lock'} can not be opened ({error.strerror}): {_ELSEWHERE}"]
        ) from error
    fcntl.flock(turn, fcntl.LOCK_EX)


def _sweep(root: int) -> None:
    for name in os.listdir(root):
        with ExitStack() as stack, suppress(OSError):  # alive, gone already, or not a session's
            folder = _opened(stack, name, _FOLDER, root)
            lock = _opened(stack, "lock", _LOCK, folder)
            if _private(folder) and stat.S_ISREG(os.fstat(lock).st_mode):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(name, ignore_errors=True, dir_fd=root)


@contextmanager
def session() -> Generator[Path]:
    """A fresh session folder for the duration of the block; inside of another block, that one's.

    Python's own temporary files (multiprocessing's sockets) are put there too.
    """
    if _open:
        yield _open[-1]
        return
    # multiprocessing would make a folder beside ours, and leave it there when it is killed
    settings: dict[str, Any] = cast(Any, current_process())._config
    before = tempfile.tempdir
    with ExitStack() as stack:
        root, within = _root(stack)
        with ExitStack() as beginning:
            _take_turn(beginning, root, within)
            _sweep(within)
            folder = Path(tempfile.mkdtemp(dir=root, prefix=""))
            inside = _opened(stack, folder.name, _FOLDER, within)
            lock = _opened(stack, "lock", _LOCK | os.O_CREAT | os.O_EXCL, inside)
            fcntl.flock(lock, fcntl.LOCK_EX)
        tempfile.tempdir = settings["tempdir"] = str(folder)
        _open.append(folder)
        try:
            yield folder
        finally:
            _open.remove(folder)
            del settings["tempdir"]
            tempfile.tempdir = before
            shutil.rmtree(folder.name, ignore_errors=True, dir_fd=within)
