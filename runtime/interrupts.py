"""Ctrl-C before a run has begun ends the command: at once, but never in the middle of an import.

numpy and torch answer a KeyboardInterrupt in their imports with errors of their own, or abort.
"""

import signal
from types import FrameType

AGAIN = 0.05  # seconds until an interrupt that met an import tries once more


class Interrupts:
    """Raises KeyboardInterrupt as soon as nothing is being imported. One in the main thread.

    `heard` tells that it was raised, whatever the code it met made of it.
    """

    def __init__(self) -> None:
        self.heard = False
        signal.signal(signal.SIGINT, self._interrupted)
        signal.signal(signal.SIGALRM, self._again)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_globals.get("__name__") == "importlib._bootstrap":
                signal.setitimer(signal.ITIMER_REAL, AGAIN)
                return
            frame = frame.f_back
        self.heard = True
        raise KeyboardInterrupt

    def _again(self, number: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)  # to whoever takes it by now
