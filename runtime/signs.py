"""Signs of life of a run's processes: heartbeats, and before the first one, processor time.

A start may take as long as it likes while the fork server, and then each worker, computes.
"""

from collections.abc import Mapping
from time import monotonic

from comm.telemetry import Beat
from runtime.blame import Pulse
from runtime.fork_server import seconds_used, server_pid

GAP = 1.5  # seconds between two looks, beyond which the launcher itself was frozen


class Signs:
    """When each process was last seen alive. `hosted` are the addresses of every rank."""

    def __init__(self, hosted: Mapping[int, tuple[str, ...]]) -> None:
        self._hosted = hosted
        self._used: dict[int, float | None] = {}  # by process
        self._at: dict[int, float] = {}  # by process
        self._beat_at: dict[int, float] = {}  # by rank
        self._looked = monotonic()

    def heard(self, rank: int) -> None:
        """A heartbeat came."""
        self._beat_at[rank] = monotonic()

    def pulses(self, running: Mapping[int, int], beats: Mapping[int, Beat]) -> dict[int, Pulse]:
        """How the processes `running`, by rank, are, whose last heartbeats are `beats`."""
        self._look()
        found: dict[int, Pulse] = {}
        for rank, pid in running.items():
            at = self._beat_at[rank] if rank in self._beat_at else self._computed(pid)
            found[rank] = Pulse(
                age=max(0.0, self._looked - at), hosted=self._hosted[rank], beat=beats.get(rank)
            )
        return found

    def frozen_server(self, missing: bool, running: Mapping[int, int], stall: float) -> str | None:
        """One line, if the fork server is to blame: it starts workers, and tells of their ends."""
        pid = server_pid()
        if missing and pid is not None and self._looked - self._computed(pid) > stall:
            return f"the fork server froze before it had started all modules (process {pid})"
        for rank, worker in running.items():
            silent = self._looked - self._beat_at.get(rank, self._looked)
            if silent > stall and seconds_used(worker) is None:
                name = " and ".join(self._hosted[rank])
                return f"the fork server froze: {name} has ended, and it did not say so"
        return None

    def _look(self) -> None:
        """Whoever was silent while nobody could listen is not to blame for that."""
        gap, self._looked = monotonic() - self._looked, monotonic()
        if gap > GAP:
            for signs in (self._at, self._beat_at):
                for key in signs:
                    signs[key] = min(signs[key] + gap, self._looked)

    def _computed(self, pid: int) -> float:
        """When the process was last seen to have computed something."""
        used = seconds_used(pid)
        if used != self._used.get(pid, -1.0):
            self._used[pid], self._at[pid] = used, self._looked
        return self._at[pid]
