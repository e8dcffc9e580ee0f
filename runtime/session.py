"""The session folder of one run on one host: rendezvous, sockets, temporary files, error notes.

It is private (0700) and removed at the end. What a killed launcher left behind is swept by the next
one that starts: a folder is stale when its owner's lock is free.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import current_process
from pathlib import Path
from typing import Any, cast

from comm.errors import BadInput
from comm.telemetry import SOCKET_PATH_LIMIT

_LONGEST = "/12345678/listener-12345678"  # what multiprocessing puts below
_open: list[Path] = []


def _root() -> Path:
    root = Path(tempfile.gettempdir()) / f"loci-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    found = root.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise BadInput(
            [f"{root} is not private to you: remove it, or set TMPDIR to another folder"]
        )
    if len(bytes(root)) + len(_LONGEST) > SOCKET_PATH_LIMIT:
        raise BadInput([f"{root} is too long a path for sockets: set TMPDIR to a shorter one"])
    return root


def _sweep(root: Path) -> None:
    for folder in filter(Path.is_dir, root.iterdir()):
        try:
            with (folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # alive, or gone already


@contextmanager
def session() -> Generator[Path]:
    """A fresh session folder for the duration of the block; inside of another block, that one's.

    Python's own temporary files (multiprocessing's sockets) are put there too.
    """
    if _open:
        yield _open[-1]
        return
    root = _root()
    with (root / "sweep.lock").open("a") as turn:  # nobody sweeps what is about to be locked
        fcntl.flock(turn, fcntl.LOCK_EX)
        _sweep(root)
        folder = Path(tempfile.mkdtemp(dir=root, prefix=""))
        lock = (folder / "lock").open("a")
        fcntl.flock(lock, fcntl.LOCK_EX)
    # multiprocessing would make a folder beside ours, and leave it there when it is killed
    settings: dict[str, Any] = cast(Any, current_process())._config
    before = tempfile.tempdir
    with lock:
        tempfile.tempdir = settings["tempdir"] = str(folder)
        _open.append(folder)
        try:
            yield folder
        finally:
            _open.remove(folder)
            del settings["tempdir"]
            tempfile.tempdir = before
            shutil.rmtree(folder, ignore_errors=True)
