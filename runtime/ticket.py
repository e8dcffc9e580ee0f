"""What a worker process is told at its start: plain values, passed on as JSON."""

from dataclasses import dataclass
from pathlib import Path

import msgspec


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """One process's place in a run.

    `config` and `plan` are their JSON. With a `session` folder the process was started by our
    supervisor on this host, without one by torchrun. `printing` marks the process that prints.
    """

    config: str
    plan: str
    data: str
    digest: str
    run_dir: str
    run_id: str
    generation: int
    rank: int
    local_rank: int
    local_processes: int
    start: int
    session: str | None

    @property
    def session_folder(self) -> Path | None:
        return Path(self.session) if self.session else None

    def to_json(self) -> bytes:
        """The ticket as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes) -> "Ticket":
        """What `to_json` wrote."""
        return msgspec.json.decode(text, type=cls)
