"""How the processes of a run meet: once per (run id, generation), and only with the same plan.

On one host the meeting place is a file in the session folder: nothing of ours listens, and gloo
stays on the loopback interface. Under torchrun it is torchrun's own store. Keys carry the run id
and the generation, so a restarted run never meets the keys of the dead one.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import torch.distributed as dist

from comm.errors import PlanMismatch
from comm.frame import Era

Store = dist.Store  # what a meeting shares; named here because torch.distributed stays in comm
BACKSTOP = timedelta(minutes=30)  # gloo's own time-out; stalls are found long before, elsewhere


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """Where and as whom a process meets the others. Without `folder`, torchrun's store is used."""

    run_id: str
    rank: int
    processes: int
    era: Era
    folder: Path | None = None
    one_host: bool = True
    backstop: timedelta = BACKSTOP


@cache
def _torchrun_store(rank: int, processes: int) -> dist.Store:
    return next(dist.rendezvous("env://", rank, processes))[0]


def torchrun_store(prefix: str, rank: int, processes: int) -> Store:
    """The store that torchrun's processes share before they meet, its keys below `prefix`."""
    store = dist.PrefixStore(f"loci/{prefix}", _torchrun_store(rank, processes))
    store.set_timeout(BACKSTOP)
    return store


def _store(meeting: Meeting) -> dist.Store:
    if meeting.one_host:  # gloo would follow the hostname
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if meeting.folder is None:
        return _torchrun_store(meeting.rank, meeting.processes)
    return dist.FileStore(str(meeting.folder / "rendezvous"), meeting.processes)


def _agree(store: dist.Store, meeting: Meeting) -> None:
    """Every process compares its plan's digest with rank 0's before the first step."""
    store.set(f"digest/{meeting.rank}", meeting.era.digest)
    first = store.get("digest/0").decode()
    if first != meeting.era.digest:
        raise PlanMismatch(
            f"rank {meeting.rank} was started with another plan than rank 0 "
            f"({meeting.era.digest[:12]} instead of {first[:12]}): "
            "start all processes with the same command, code and data"
        )


@contextmanager
def meet(meeting: Meeting) -> Generator[dist.Store]:
    """Connect with the other processes for the duration of the block; yields the shared store.

    Raises PlanMismatch before any connection is made if this process has another plan than rank 0.
    """
    prefix = f"loci/{meeting.run_id}/{meeting.era.generation}"
    store = dist.PrefixStore(prefix, _store(meeting))
    store.set_timeout(meeting.backstop)
    _agree(store, meeting)
    dist.init_process_group(
        "gloo",
        store=store,
        rank=meeting.rank,
        world_size=meeting.processes,
        timeout=meeting.backstop,
    )
    yield store
    _leave(store, meeting.processes)
    dist.destroy_process_group()  # not after a failure: what is still posted could make it wait


def _leave(store: dist.Store, processes: int) -> None:
    """Go only when everyone is done.

    A send is complete once its bytes are with the kernel, and a connection that is closed with
    something unread is reset: bytes that the peer has not read by then would be lost.
    """
    if store.add("leaving", 1) == processes:
        store.set("left", "")
    store.wait(["left"])
