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

_open: list[Path] = []


def _root() -> Path:
    root = Path(tempfile.gettempdir()) / f"loci-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    return root


def _sweep(root: Path) -> None:
    for folder in root.iterdir():
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
    _sweep(root)
    folder = Path(tempfile.mkdtemp(dir=root, prefix=""))
    # multiprocessing would make a folder beside ours, and leave it there when it is killed
    settings: dict[str, Any] = cast(Any, current_process())._config
    before = tempfile.tempdir
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tempfile.tempdir = settings["tempdir"] = str(folder)
        _open.append(folder)
        try:
            yield folder
        finally:
            _open.remove(folder)
            del settings["tempdir"]
            tempfile.tempdir = before
            shutil.rmtree(folder, ignore_errors=True)
