"""Writes a file so that whoever looks finds the old one or the new one, never half of it.

What has returned from here is on the disk, its name included, whatever happens to the power.
"""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from io import FileIO
from pathlib import Path

from comm.errors import NotWritten


@contextmanager
def writing(path: Path) -> Generator[None]:
    """What the operating system refuses in this block is a NotWritten that names `path`."""
    try:
        yield
    except OSError as error:
        raise NotWritten(path, error) from error


def replace(path: Path, content: bytes) -> None:
    """Write aside, to the disk, then rename. Raises NotWritten, and then leaves all as it was."""
    aside = path.with_suffix(path.suffix + ".part")
    try:
        with writing(path):
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
            settle(path.parent)
    except NotWritten:
        with suppress(OSError):
            aside.unlink()
        raise


def append(file: FileIO, content: bytes) -> None:
    """All of it, at the end of a file without a buffer: a disk that is nearly full takes a part."""
    while content:
        content = content[file.write(content) :]


def stamp() -> str:
    """This second, as a part of a name."""
    return datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")


def make_folder(path: Path) -> None:
    """A folder in one that is there. Raises NotWritten, also where that one is gone."""
    with writing(path):
        if not path.is_dir():
            path.mkdir(exist_ok=True)
            settle(path.parent)


def settle(folder: Path) -> None:
    """See to it that the names in a folder are on the disk: a rename alone is not."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have no such thing
            raise
    finally:
        os.close(handle)
