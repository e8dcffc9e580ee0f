"""Which device, cores and threads a process of the grid gets."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch


def cores() -> list[int]:
    """The cores this process may use."""
    return sorted(psutil.Process().cpu_affinity() or range(os.cpu_count() or 1))


@dataclass(frozen=True, kw_only=True)
class Portion:
    """One process's part of the host: threads, and the cores it is pinned to (None: any)."""

    threads: int
    cores: tuple[int, ...] | None


def portion_of(local_rank: int, local_processes: int, threads: int | None) -> Portion:
    """The cores of the host, shared out evenly; processes are pinned where there are enough."""
    available = cores()
    each = max(1, len(available) // local_processes)
    wanted = min(threads or each, len(available))
    if local_processes * wanted > len(available) or (threads and wanted < each):
        return Portion(threads=wanted, cores=None)  # the rest is left to others: so do not pin
    first = local_rank * wanted
    return Portion(threads=wanted, cores=tuple(available[first : first + wanted]))


def at_hand(wanted: str) -> str:
    """`wanted`, as a run was settled, where this host has it; else the CPU."""
    import torch

    return wanted if torch.cuda.is_available() else "cpu"


def device_name(wanted: str, local_rank: int) -> str:
    """`cpu` or `cuda`, as settled, to a torch device; with fewer GPUs than processes they share."""
    import torch

    if wanted == "cpu":
        return "cpu"
    return f"cuda:{local_rank % torch.cuda.device_count()}"


def settle(portion: Portion, device: str) -> "torch.device":
    """Make this process use its portion and no more."""
    import torch

    if portion.cores is not None:
        psutil.Process().cpu_affinity(list(portion.cores))
    torch.set_num_threads(portion.threads)
    if device != "cpu":
        torch.cuda.set_device(device)
    return torch.device(device)
