"""One process at a time: a file lock that the kernel lets go when its holder dies."""

import fcntl
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from comm.printable import printable

PATIENCE = 2.0  # seconds until a waiting process says what it waits for


@contextmanager
def alone(path: Path) -> Generator[None]:
    """Holds the lock file `path`, which stays behind. Raises OSError if it cannot be created."""
    with path.open("a") as file:
        since, told = time.monotonic(), False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told and time.monotonic() - since > PATIENCE:
                    print(
                        f"waiting for another process that holds {printable(str(path))}",
                        file=sys.stderr,
                    )
                    told = True
                time.sleep(0.05)
        yield
