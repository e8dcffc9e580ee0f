"""Room on the disk for the last words of a process, which it may need because the disk is full.

The session folder often lies on the same disk as the run directory, so that the account of a
failure to write could not be written either.
"""

from pathlib import Path

ROOM = 16 * 1024  # bytes: an account is a line and a traceback


def keep_room(folder: Path, rank: int) -> None:
    """Take it while there is some. Raises OSError if there is none."""
    _path(folder, rank).write_bytes(bytes(ROOM))


def give_room(folder: Path, rank: int) -> None:
    """Give it to whatever is written next."""
    _path(folder, rank).unlink(missing_ok=True)


def _path(folder: Path, rank: int) -> Path:
    return folder / f"room-{rank}"
