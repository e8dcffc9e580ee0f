"""A module that goes on from its checkpoint is the module that never stopped, bit for bit."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.grids import OPTIM, job_of, lockstep, planned, shelf_of, states
from workers.methods import AnyMethod
from workers.methods.contsup import ContSup
from workers.methods.dtp import DTP
from workers.methods.predsim import PredSim
from workers.optim import OptimConfig

ADAM = replace(OPTIM, optimizer="adam", lr=1e-3, weight_decay=0.0)
CASES: list[tuple[AnyMethod, OptimConfig, dict[str, object]]] = [
    (
        PredSim(share="maps"),
        ADAM,
        {"network": "vgg6a", "widths": (5, 7, 8, 7, 9), "dropout": 0.2, "groups": (2, 3, 1)},
    ),
    (ContSup(loss="softmax"), OPTIM, {"groups": 2}),
    (
        DTP(iterations=(3, 2, 4), noise=(0.4, 0.4, 0.1), feedback_lr=(1e-3, 1e-3, 1e-2)),
        OPTIM,
        {"network": "lenet", "widths": (4, 6, 8), "groups": 1},
    ),
    (
        DTP(
            iterations=(3, 2, 4),
            noise=(0.4, 0.4, 0.1),
            feedback_lr=(1e-3, 1e-3, 1e-2),
            feedback_lag=1,
        ),
        OPTIM,
        {"network": "lenet", "widths": (4, 6, 8), "groups": 1, "replicas": (1, 2, 1)},
    ),
]


@pytest.mark.parametrize(
    ("method", "optim", "grid"), CASES, ids=["adam", "sgd", "feedback", "replicas"]
)
def test_going_on_is_never_having_stopped(
    method: AnyMethod, optim: OptimConfig, grid: dict[str, object], tmp_path: Path
) -> None:
    plan = planned(method, depth=3, **grid)  # type: ignore[arg-type]
    whole = job_of(plan, method, steps=4, optim=optim, checkpoints=tmp_path, save_every=1)
    never_stopped = states(lockstep(whole)[0])
    first, last = shelf_of(tmp_path, plan).complete()
    assert (first.turn, last.turn) == (2, 4)
    again = replace(whole, start=2, restore=2, save_every=None)
    going_on = states(lockstep(again)[0])
    assert all(
        bool((going_on[address][name] == tensor).all())
        for address, state in never_stopped.items()
        for name, tensor in state.items()
    )
    fresh = states(lockstep(replace(again, restore=0))[0])  # negative control: not restored
    assert any(
        bool((fresh[address][name] != tensor).any())
        for address, state in never_stopped.items()
        for name, tensor in state.items()
    )
