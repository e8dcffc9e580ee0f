"""What can go wrong, as a tree.

LociError
├── BadInput             known before any process starts; carries every problem at once
│   └── Damaged          a file is torn, foreign or of another version; names it
└── RunError             something failed while running; names the module and the step
    ├── NotWritten       a file could not be written: a full disk, a folder that is gone; names it
    ├── Diverged         a loss is not a number
    ├── PeerLost         the other end of a route is gone
    ├── WrongMessage     what arrived is not what the plan says; names both ends
    ├── PlanMismatch     two processes were started with different plans
    ├── Deadlock         every hosted module waits for another hosted module
    └── ModuleFailed     any of these, or any other error, with the module and step it came from
"""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from comm.printable import printable


class LociError(Exception):
    """Base of every error that Loci raises on purpose."""


class BadInput(LociError):
    """The run cannot start. Each problem is one sentence: the situation and the next move.

    A problem is one line that is safe to print, whatever the files are called that it names.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(map(printable, problems))
        super().__init__("\n".join(self.problems))


class Damaged(BadInput):
    """A file is not what stands in its place when all is well. `why` ends the sentence."""

    def __init__(self, path: Path | str, why: str) -> None:
        self.path, self.why = path, why
        super().__init__([f"{path} is damaged: {why}"])


class RunError(LociError):
    """A failure while running."""


class NotWritten(RunError):
    """A file could not be written. Prints what the operating system said, in plain words."""

    def __init__(self, path: Path | str, error: OSError) -> None:
        self.path = path
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            full = (
                "the disk is full" if error.errno == errno.ENOSPC else "your disk quota is used up"
            )
            super().__init__(
                f"{full}: {path} could not be written; make room, then --resume the run"
            )
        elif error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
            super().__init__(f"{path} is gone: its folder was renamed or removed meanwhile")
        else:
            reason = os.strerror(error.errno) if error.errno else str(error)
            super().__init__(f"{path} could not be written: {reason}")


class Diverged(RunError):
    """A loss is not a number."""


class PeerLost(RunError):
    """The other end of a route is gone, or its connection is."""


class WrongMessage(RunError):
    """A message's header is not what the plan says."""


class PlanMismatch(RunError):
    """The processes do not agree on the plan."""


class Deadlock(RunError):
    """Every hosted module waits for another one of the same process."""


class ModuleFailed(RunError):
    """A module failed; prints "k3g1 failed at step 812: …"."""

    def __init__(self, address: str, turn: int, place: str, cause: BaseException) -> None:
        self.address, self.turn = address, turn
        text = str(cause).strip() or type(cause).__name__
        named = text if isinstance(cause, LociError) else f"{type(cause).__name__}: {text}"
        super().__init__(f"{address} failed at {place}: {named}")
