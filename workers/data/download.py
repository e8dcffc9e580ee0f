"""Fetches the files of a dataset: once, however many processes of this host ask at once."""

import os
import shutil
import socket
import sys
import tarfile
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from http.client import HTTPException
from os.path import isfile  # False, not an error, where it may not look
from pathlib import Path

from comm.printable import printable
from workers.data.lock import alone

SILENCE = 60.0  # seconds without a byte after which a server is given up
# What a download may fail with: the network, the disk, a checksum, an archive cut short.
REASONS = (OSError, RuntimeError, HTTPException, tarfile.TarError, EOFError, zlib.error)


def fetched(root: Path, name: str, files: Sequence[str], fetch: Callable[[Path], object]) -> None:
    """Makes sure that `files` are in `root`; `fetch` puts them into the folder it is given.

    They are fetched aside and then moved, so that a file in its place is whole. Raises OSError if
    `root` cannot be written, and whatever `fetch` raises, which leaves nothing behind.
    """
    if _there(root, files):
        return
    with alone(root / f".{name}.lock"):
        if _there(root, files):  # somebody else fetched them while we waited
            return
        aside = root / f".{name}.part"
        shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
        aside.mkdir()
        try:
            print(f"downloading {name} to {printable(str(root))}", file=sys.stderr)
            with _impatient(), redirect_stdout(sys.stderr):
                fetch(aside)
            for file in files:
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                os.replace(aside / file, root / file)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _there(root: Path, files: Sequence[str]) -> bool:
    return all(isfile(root / file) for file in files)


@contextmanager
def _impatient() -> Generator[None]:
    """New connections fail after a long silence; torchvision would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
