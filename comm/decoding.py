"""JSON that another process wrote, or anybody: read into a type, or one error says what is wrong.

msgspec tells a torn file, foreign bytes and a foreign structure by errors of three unrelated kinds.
"""

from pathlib import Path
from typing import TypeVar

import msgspec

from comm.errors import Damaged

T = TypeVar("T")
WRONG = (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError)


def decoded(text: bytes, kind: type[T], *, path: Path | str) -> T:
    """The value that `text` stands for. Raises Damaged, naming `path`, where it is none."""
    try:
        return msgspec.json.decode(text, type=kind)
    except WRONG as error:
        raise Damaged(path, reason(text, error)) from error


def reason(text: bytes, error: Exception) -> str:
    """What is wrong with `text`, in plain words."""
    if not text.strip(b"\0 \t\r\n"):
        return "it is empty"
    if isinstance(error, msgspec.ValidationError | KeyError):
        return f"it was edited, or is of another version ({error})"
    if "truncated" in str(error):
        return "it ends in the middle"
    return "it is not JSON"


def content(path: Path) -> bytes:
    """What stands in a file. Raises Damaged where it can not be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Damaged(path, f"it can not be read ({error.strerror})") from error


def read(path: Path, kind: type[T]) -> T:
    """The value that a file holds. Raises Damaged, naming it."""
    return decoded(content(path), kind, path=path)
