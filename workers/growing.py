"""A file that grows line by line, as the traces of a run do, and that stays where it is."""

import errno
import os
from pathlib import Path

from workers.aside import append, writing


class GrowingFile:
    """Lines are added to `path`, each at once. The folder is made if it is not there.

    Raises NotWritten where that can not be done (any more): because the disk is full, or because
    the file no longer lies where it did.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer, nothing is left that could fail once more when the file is closed.
            self._file = path.open("ab", buffering=0)
        self._identity = identity(os.fstat(self._file.fileno()))

    def add(self, line: bytes) -> None:
        """Write one more line."""
        with writing(self._path):
            # A file whose folder was renamed or removed can be written to, but nobody will find it.
            if identity(self._path.stat()) != self._identity:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            append(self._file, line + b"\n")

    def close(self) -> None:
        """Nothing more will come."""
        self._file.close()


def identity(found: os.stat_result) -> tuple[int, int]:
    """The same for as long as it is the same file or folder, whatever it is called."""
    return found.st_dev, found.st_ino
