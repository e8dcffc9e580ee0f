"""Ctrl-C before a run has begun ends the command: at once, but never in the middle of an import.

numpy and torch answer a KeyboardInterrupt in their imports with errors of their own, or abort.
"""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

IMPORTING = ("importlib._bootstrap", "_frozen_importlib")  # its name before, and after it is used
AGAIN = 0.05  # seconds until an interrupt that met an import tries once more


@contextmanager
def interruptible() -> Generator[None]:
    """Raises KeyboardInterrupt as soon as nothing is being imported. In the main thread.

    An error that follows an interrupt is one, whatever the code it met has made of it. Where
    interrupts are ignored (a shell's jobs in the background), they stay so.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    heard: list[int] = []

    def interrupted(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_globals.get("__name__") in IMPORTING:
                signal.setitimer(signal.ITIMER_REAL, AGAIN)
                return
            frame = frame.f_back
        heard.append(number)
        raise KeyboardInterrupt

    def again(number: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)  # to whoever takes it by now

    before = signal.signal(signal.SIGINT, interrupted), signal.signal(signal.SIGALRM, again)
    try:
        yield
    except Exception as error:
        if heard:
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, action in zip((signal.SIGINT, signal.SIGALRM), before, strict=True):
            signal.signal(number, action)
