"""Writes a file so that whoever looks finds the old one or the new one, never half of it."""

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Write aside, to the disk, then rename."""
    aside = path.with_suffix(path.suffix + ".part")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
