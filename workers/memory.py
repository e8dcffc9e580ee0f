"""How much memory this process may still take."""

from contextlib import suppress
from pathlib import Path

import psutil

LIMIT = Path("/sys/fs/cgroup/memory.max")  # of the container that this process is in, if any


def free_memory() -> int:
    """Bytes that the host has left, or the container's limit if that is less."""
    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # there is no such file, or it says "max"
        free = min(free, int(LIMIT.read_text()))
    return free
