"""One line on stderr for work that takes longer than a moment."""

import sys
import time

from comm.closing import Closing

QUIET = 2.0  # seconds before the first line


class Progress(Closing):
    """Counts up to `total`; `with` ends the line. Silent if done within QUIET seconds."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._live = sys.stderr.isatty()  # rewrites its line; else one line every ten seconds
        self._next = time.monotonic() + QUIET
        self._shown = False

    def advance(self, count: int) -> None:
        """`count` more are done."""
        self._done += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + (0.2 if self._live else 10)
            self._show()

    def close(self) -> None:
        """End the line, if there is one."""
        if self._shown and self._live:
            self._show()
            print(file=sys.stderr)

    def _show(self) -> None:
        self._shown = True
        line = f"{self._what}: {self._done:,} of {self._total:,}"
        print(f"\r{line}" if self._live else line, end="" if self._live else "\n", file=sys.stderr)
        sys.stderr.flush()
