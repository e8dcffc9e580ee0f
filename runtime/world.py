"""What torchrun says in the environment of every process that it starts."""

import os
from dataclasses import dataclass


def under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "WORLD_SIZE" in os.environ


@dataclass(frozen=True, kw_only=True)
class World:
    """This process's place among all that torchrun started.

    `generation` counts how often torchrun has started them again; `remembers` tells whether the
    store they share outlives that, as it does unless torchrun was told otherwise.
    """

    run_id: str
    generation: int
    rank: int
    local_rank: int
    processes: int
    local_processes: int
    remembers: bool

    @property
    def place(self) -> tuple[int, int]:
        """The rank, and of how many."""
        return self.rank, self.processes

    @classmethod
    def read(cls) -> "World":
        """From the environment."""
        number = {
            name: int(os.environ[name])
            for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
        }
        return cls(
            run_id=os.environ["TORCHELASTIC_RUN_ID"],
            generation=int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")),
            rank=number["RANK"],
            local_rank=number["LOCAL_RANK"],
            processes=number["WORLD_SIZE"],
            local_processes=number["LOCAL_WORLD_SIZE"],
            remembers=os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        )
