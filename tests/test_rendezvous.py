"""Processes meet once per run and generation, with one plan, and part together."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest
import torch
import torch.distributed as dist

from comm.errors import PlanMismatch, RunError
from comm.frame import Era
from comm.rendezvous import Meeting, _agree, meet
from tests.plays import ERA
from tests.processes import Signs, processes, results

pytestmark = pytest.mark.timeout(60)


def attend(meeting: Meeting, folder: Path, name: str) -> list[str]:
    """Meet, tell the others a name, stay until told to leave; the names told there."""
    signs = Signs(folder)
    with meet(meeting) as store:
        store.set(f"name/{meeting.rank}", name)
        names = [store.get(f"name/{rank}").decode() for rank in range(meeting.processes)]
        ours = torch.tensor([meeting.era.generation, meeting.rank])
        theirs = torch.empty_like(ours)
        work = dist.isend(ours, 1 - meeting.rank)
        dist.recv(theirs, 1 - meeting.rank)
        assert work is not None
        work.wait()
        assert theirs.tolist() == [meeting.era.generation, 1 - meeting.rank]
        sockets = psutil.Process().net_connections("inet")
        assert sockets and all(ip_address(one.laddr[0]).is_loopback for one in sockets)
        signs.give(f"{name} met")
        signs.wait("leave")
    return names


def meeting_of(folder: Path, *, run_id: str, rank: int, era: Era = ERA) -> Meeting:
    return Meeting(run_id=run_id, rank=rank, processes=2, era=era, folder=folder)


def test_processes_with_different_plans_do_not_meet(tmp_path: Path) -> None:
    other = replace(ERA, digest="cd" * 32)
    with processes(2) as (first, second):
        first.call(attend, meeting_of(tmp_path, run_id="a", rank=0), tmp_path, "first")
        second.call(attend, meeting_of(tmp_path, run_id="a", rank=1, era=other), tmp_path, "second")
        with pytest.raises(PlanMismatch, match=r"rank 1 .* another plan than rank 0") as caught:
            second.result()
        assert not first.answered()
    assert "cdcdcdcdcdcd instead of abababababab" in str(caught.value)
    assert isinstance(caught.value, RunError)


def test_plans_are_compared_to_the_last_letter_of_their_digests(tmp_path: Path) -> None:
    store = dist.HashStore()
    _agree(store, meeting_of(tmp_path, run_id="a", rank=0))
    _agree(store, meeting_of(tmp_path, run_id="a", rank=1))
    other = replace(ERA, digest=f"{ERA.digest[:-1]}c")
    with pytest.raises(PlanMismatch):
        _agree(store, meeting_of(tmp_path, run_id="a", rank=1, era=other))


def test_meetings_of_other_runs_and_generations_share_a_folder(tmp_path: Path) -> None:
    """Two at once, while the keys of a third, whose processes were killed, are still there."""
    signs = Signs(tmp_path)
    again = replace(ERA, generation=4)
    with processes(6) as children:
        plans = (("a", ERA), ("a", again), ("b", ERA))
        for number, (run_id, era) in enumerate(plans):
            pair = children[2 * number : 2 * number + 2]
            for rank, child in enumerate(pair):
                meeting = meeting_of(tmp_path, run_id=run_id, rank=rank, era=era)
                name = f"{run_id}{era.generation} {rank}"
                child.call(attend, meeting, tmp_path, name)
            if number == 0:
                signs.wait("a3 0 met")
                signs.wait("a3 1 met")
                for child in pair:
                    child.kill()
        for name in ("a4 0", "a4 1", "b3 0", "b3 1"):
            signs.wait(f"{name} met")
        signs.give("leave")
        names = results(children[2:])
    assert names == [["a4 0", "a4 1"]] * 2 + [["b3 0", "b3 1"]] * 2
