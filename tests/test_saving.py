"""Checkpoints by k0g0's clock: all modules save before one turn, and the newest are kept."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from comm.address import Address
from tests.grids import job_of, lockstep, planned, shelf_of, states
from workers import checkpoint
from workers.methods import AnyMethod
from workers.methods.contsup import ContSup
from workers.methods.dtp import DTP
from workers.methods.gn_dgl import GNDGL
from workers.shelf import KEPT

AT_EVERY_TURN = 1e-9  # minutes
CASES: dict[str, tuple[AnyMethod, dict[str, object]]] = {
    "groups": (GNDGL(), {"depth": 3, "groups": 2, "window": 3}),
    "contexts": (ContSup(loss="softmax"), {"depth": 3, "groups": 1}),
    "targets": (
        DTP(iterations=(3, 2, 4), noise=(0.4, 0.4, 0.1), feedback_lr=(1e-3, 1e-3, 1e-2)),
        {
            **{"depth": 3, "groups": 1, "network": "lenet", "widths": (4, 6, 8)},
            **{"replicas": (1, 2, 1), "window": 1},
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_checkpoint_by_the_clock_is_one_to_go_on_from(name: str, tmp_path: Path) -> None:
    method, grid = CASES[name]
    plan = planned(method, **grid)  # type: ignore[arg-type]
    chance = random.Random(3)

    def any_of(able: Sequence[tuple[int, Address]]) -> int:
        return chance.randrange(len(able))

    job = job_of(plan, method, steps=4, evaluate=True, checkpoints=tmp_path)
    clocked = replace(job, save_minutes=AT_EVERY_TURN)
    never_stopped = states(lockstep(clocked, any_of)[0])
    undisturbed = states(lockstep(replace(job, checkpoints=None))[0])
    assert _same(never_stopped, undisturbed)
    found = shelf_of(tmp_path, plan).complete()
    assert [note.stays for note in found] == [False] * KEPT + [True]
    *passing, last = found
    assert last.turn == len(job.schedule) == 8
    # two turns of training, two of evaluation, which are not cut; twice
    assert [(note.turn, note.step) for note in passing] == [(5, 3), (6, 4)]
    for note in passing:
        again = replace(job, checkpoints=tmp_path, start=note.turn, restore=note.turn)
        assert _same(states(lockstep(replace(again, save_every=None))[0]), never_stopped)
    fresh = replace(again, save_every=None, restore=0)  # negative control: not restored
    assert not _same(states(lockstep(fresh)[0]), never_stopped)


def test_checkpoints_that_were_asked_for_stay_beside_those_of_the_clock(tmp_path: Path) -> None:
    method = GNDGL()
    plan = planned(method, depth=2, groups=2)
    job = job_of(plan, method, steps=8, checkpoints=tmp_path, save_every=1)
    lockstep(replace(job, save_minutes=AT_EVERY_TURN))
    found = shelf_of(tmp_path, plan).complete()
    assert [(note.turn, note.stays) for note in found] == [
        *((2, True), (4, True), (5, False), (6, True), (7, False), (8, True)),
    ]


def test_only_complete_checkpoints_count_as_newer_ones(tmp_path: Path) -> None:
    """Modules that are behind may still need the older ones."""
    plan = planned(GNDGL(), depth=2, groups=2)
    for turn in (3, 4, 5):
        _pretend(tmp_path, plan.digest, plan.grid, turn)
    (tmp_path / "turn-0000004" / "k1g1.json").unlink()
    (tmp_path / "turn-0000005" / "k0g1.safetensors").unlink()
    shelf_of(tmp_path, plan).prune()
    assert len([*tmp_path.iterdir()]) == 3
    for turn in (6, 7):
        _pretend(tmp_path, plan.digest, plan.grid, turn)
    shelf_of(tmp_path, plan).prune()
    assert sorted(path.name[-1] for path in tmp_path.iterdir()) == ["4", "5", "6", "7"]


def _same(these: dict[str, dict[str, object]], those: dict[str, dict[str, object]]) -> bool:
    return all(
        bool((those[address][name] == tensor).all())  # type: ignore[attr-defined]
        for address, state in these.items()
        for name, tensor in state.items()
    )


def _pretend(root: Path, plan: str, addresses: object, turn: int) -> None:
    here = checkpoint.folder(root, turn)
    here.mkdir()
    for address in addresses:  # type: ignore[attr-defined]
        note = checkpoint.Note(
            format=checkpoint.FORMAT,
            address=str(address),
            turn=turn,
            step=turn,
            plan=plan,
            sha256="",
            stays=False,
        )
        (here / f"{address}.json").write_bytes(msgspec.json.encode(note))
        (here / f"{address}.safetensors").touch()
