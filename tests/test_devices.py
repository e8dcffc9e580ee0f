"""Every process of a host gets cores and threads of its own, as long as there are enough."""

import pytest
import torch

from comm.device import Landing
from partition.config import GridConfig
from runtime import devices
from runtime.config import Config, RunConfig
from runtime.devices import portion_of
from runtime.opening import settled

CORES = [2, 3, 5, 6, 8, 9, 11]  # of a host that lends some of its cores


@pytest.fixture(autouse=True)
def some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cores", lambda: CORES)


@pytest.mark.parametrize(
    ("processes", "threads", "each", "pinned"),
    [
        (1, None, 7, [(2, 3, 5, 6, 8, 9, 11)]),
        (3, None, 2, [(2, 3), (5, 6), (8, 9)]),
        (3, 2, 2, [(2, 3), (5, 6), (8, 9)]),
        (3, 1, 1, [None] * 3),  # the rest is left to others
        (3, 4, 4, [None] * 3),  # more than there are
        (9, None, 1, [None] * 9),
        (1, 99, 7, [(2, 3, 5, 6, 8, 9, 11)]),
    ],
)
def test_cores_are_shared_out_and_nobody_is_pinned_to_anothers(
    processes: int, threads: int | None, each: int, pinned: list[tuple[int, ...] | None]
) -> None:
    found = [portion_of(rank, processes, threads) for rank in range(processes)]
    assert [portion.threads for portion in found] == [each] * processes
    assert [portion.cores for portion in found] == pinned


@pytest.mark.parametrize(
    ("grid", "here", "threads"),
    [
        (GridConfig(network="resnet8"), None, 7),
        (GridConfig(network="resnet8", depth=2), None, 3),
        (GridConfig(network="resnet8", depth=2, replicas=(1, 2)), None, 2),
        (GridConfig(network="resnet8", depth=2, replicas=(4, 4)), None, 1),
        (GridConfig(network="resnet8", depth=2, replicas=(4, 4)), 3, 2),  # on each of some hosts
    ],
)
def test_threads_that_are_not_given_are_as_many_as_each_process_has_cores(
    grid: GridConfig, here: int | None, threads: int
) -> None:
    assert settled(Config(grid=grid), local_processes=here).run.threads == threads
    given = Config(grid=grid, run=RunConfig(threads=5))
    assert settled(given, local_processes=here).run.threads == 5


def test_on_the_cpu_what_arrived_is_used_where_it_lies() -> None:
    arrived = [torch.zeros(3), torch.ones(2)]
    landed = Landing(torch.device("cpu")).land(arrived)
    assert all(one is other for one, other in zip(landed, arrived, strict=True))
