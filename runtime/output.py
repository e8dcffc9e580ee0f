"""Output that outlasts its reader: a terminal that closes, a pipe nobody reads, a full disk.

What a run shows is worth less than the run: it must not break off where it shows something. What
comes after that goes nowhere, and whoever watches `lost` can end the run in good order.
"""

import errno
import os
from typing import Any, TextIO

GONE = (errno.EPIPE, errno.EIO, errno.ENOSPC, errno.EDQUOT)  # pipe, terminal, disk


class Lasting:
    """A text stream that is `lost` once nobody can read it; everything else is `stream`'s."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write `text`, to nowhere if nobody reads."""
        try:
            return self.stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        try:
            self.stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        if error.errno not in GONE:
            raise error
        self.lost = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())  # what the stream still holds goes there, too
        os.close(nowhere)
