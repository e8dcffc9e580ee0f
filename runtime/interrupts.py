"""What asks a command to end: Ctrl-C, SIGTERM, and the terminal that closes (SIGHUP).

Before a run has begun, each ends the command: at once, but never in the middle of an import, as
numpy and torch answer a KeyboardInterrupt there with errors of their own, or abort. Once a run has
begun, the first ends it at one common step, with a checkpoint; Ctrl-C after that ends it at once.

A signal that is ignored when the command starts (SIGHUP below nohup, SIGINT of a shell's jobs in
the background) stays ignored.
"""

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from comm.closing import Closing
from runtime.output import Lasting

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IMPORTING = ("importlib._bootstrap", "_frozen_importlib")  # its name before, and after it is used
AGAIN = 0.05  # seconds until a signal that met an import tries once more


def heeded() -> list[signal.Signals]:
    """Those of `ENDING` that are not ignored."""
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def interruptible() -> Generator[None]:
    """Raises KeyboardInterrupt as soon as nothing is being imported. In the main thread.

    An error that follows an interrupt is one, whatever the code it met has made of it.
    """
    heard: list[int] = []
    met: list[int] = []  # signals that met an import

    def interrupted(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_globals.get("__name__") in IMPORTING:
                met.append(number)
                signal.setitimer(signal.ITIMER_REAL, AGAIN)
                return
            frame = frame.f_back
        heard.append(number)
        raise KeyboardInterrupt

    def again(number: int, frame: FrameType | None) -> None:
        signal.raise_signal(met[-1])  # to whoever takes it by now

    before = {number: signal.signal(number, interrupted) for number in heeded()}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, again)
    try:
        yield
    except Exception as error:
        if heard:
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, action in before.items():
            signal.signal(number, action)


class Requests(Closing):
    """While the block lasts, a run is asked to end, not interrupted.

    A reader of its output that goes away, as the terminal does with SIGHUP, asks as well. Only
    Ctrl-C can ask twice: whoever ends a whole session sends SIGTERM or SIGHUP more than once. Then
    it is to end `at_once`, and the function of that name is called, in the main thread.
    """

    def __init__(self, at_once: Callable[[], None] | None = None) -> None:
        self.at_once = False
        self._call = at_once
        self._asked = False
        self._outputs: tuple[Lasting, Lasting] | None = None
        self._before: dict[signal.Signals, signal.Handlers] = {}

    @property
    def asked(self) -> bool:
        """Whether the run is to end after its current step."""
        return self._asked or any(output.lost for output in self._outputs or ())

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.at_once = self.at_once or (self.asked and number == signal.SIGINT)
        self._asked = True
        if self.at_once and self._call is not None:
            self._call()

    def __enter__(self) -> Self:
        for number in heeded():
            self._before[number] = signal.signal(number, self._hear)  # type: ignore[assignment]
        self._outputs = Lasting(sys.stdout), Lasting(sys.stderr)
        sys.stdout, sys.stderr = self._outputs  # type: ignore[assignment]
        return self

    def close(self) -> None:
        """From now on signals mean what they meant before."""
        assert self._outputs is not None
        sys.stdout, sys.stderr = (output.stream for output in self._outputs)
        for number, action in self._before.items():
            signal.signal(number, action)
