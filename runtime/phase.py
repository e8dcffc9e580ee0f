"""What a process does before and after its modules' turns, and how long already.

While modules take their turns, they tell themselves what they do (`workers.state`).
"""

from threading import main_thread
from time import clock_gettime, monotonic, pthread_getcpuclockid

WORKING = "working"  # the phase in which modules take turns
SIGN = 0.01  # seconds of processor time that are a sign of life


class Phase:
    """Written by the main thread, read by the heartbeat's.

    `waiting`: the phase ends only when the other processes have come as far.
    """

    def __init__(self) -> None:
        self._clock = pthread_getcpuclockid(main_thread().ident or 0)
        self.enter("starting")

    def enter(self, doing: str, *, waiting: bool = False) -> None:
        """Begin another phase."""
        self.doing, self.waiting = doing, waiting
        self._since, self._used = monotonic(), clock_gettime(self._clock)

    def still(self) -> float:
        """Seconds since the phase began, or since the main thread last computed in it.

        Who waits is still, even if it computes a little to look whether it may go on.
        """
        used = clock_gettime(self._clock)
        if not self.waiting and used - self._used >= SIGN:
            self._since, self._used = monotonic(), used
        return monotonic() - self._since
