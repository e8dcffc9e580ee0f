"""The promise with real processes: K x G of them over gloo compute what lockstep computes.

Bit for bit, in float64, whatever the window and however unevenly they are slowed down; and so, to
1e-12, what the monolithic reference computes (see tests/test_exactness.py).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.apart import train_apart
from tests.grids import OPTIM, job_of, lockstep, planned, states
from tests.processes import processes
from tests.reference import train
from tests.runs import until
from tests.test_exactness import GRIDS, STEPS, batches, monolith, rates, worst
from tests.test_methods import trained
from workers.methods.contsup import ContSup
from workers.methods.dgl import DGL
from workers.methods.dtp import DTP
from workers.methods.gn_dgl import GNDGL
from workers.methods.infopro import InfoPro
from workers.methods.method import Method
from workers.methods.predsim import PredSim
from workers.optim import OptimConfig

SHARES, DIVERSITIES, WINDOWS = ("none", "maps", "pooled"), (0.0, 0.5), (1, 2, 8)


@dataclass(frozen=True)
class Case:
    """One combination."""

    depth: int
    groups: int
    window: int
    method: GNDGL | DGL

    def __str__(self) -> str:
        method = self.method
        name = "dgl" if isinstance(method, DGL) else f"{method.share}-{method.diversity:g}"
        return f"{self.depth}x{self.groups}-{name}-{method.tail}-window{self.window}"


def covering() -> Iterator[Case]:
    """Every pair of two settings' values occurs, but not every combination of all."""
    for g, s in itertools.product(range(len(GRIDS)), range(len(SHARES))):
        method = GNDGL(share=SHARES[s], pool=4, diversity=DIVERSITIES[(g + s) % 2])  # type: ignore[arg-type]
        yield Case(*GRIDS[g], WINDOWS[(g + s) % 3], method)
    yield Case(2, 2, 1, GNDGL(share="maps", tail="fc"))
    yield Case(2, 4, 8, GNDGL(share="none", tail="fc"))
    yield Case(1, 1, 2, DGL(tail="head"))
    yield Case(2, 1, 1, DGL(tail="fc"))
    yield Case(3, 1, 2, DGL(tail="head"))
    yield Case(4, 1, 8, DGL(tail="fc"))


CASES = [*covering()]


def test_the_cases_cover_every_pair_of_settings() -> None:
    settings = [
        ((case.depth, case.groups), case.method.share, case.method.diversity > 0, case.window)
        for case in CASES
        if isinstance(case.method, GNDGL) and case.method.tail == "head"
    ]
    for a, b in itertools.combinations(range(4), 2):
        seen = {(setting[a], setting[b]) for setting in settings}
        wanted = {*itertools.product({s[a] for s in settings}, {s[b] for s in settings})}
        assert seen == wanted


def grandchildren() -> list[psutil.Process]:
    """What the fork server, a child of this process, has started."""
    return [p for child in psutil.Process().children() for p in child.children(recursive=True)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_processes_compute_what_lockstep_and_the_monolith_compute(
    case: Case, tmp_path: Path
) -> None:
    plan = planned(case.method, depth=case.depth, groups=case.groups, window=case.window)
    with processes(plan.grid.processes) as children:
        make_job = partial(job_of, method=case.method, steps=STEPS, evaluate=True)
        weights, notes = train_apart(children, plan, make_job, folder=tmp_path)
    until(lambda: not grandchildren(), timeout=1, why="all processes are gone")

    together, notebooks = lockstep(job_of(plan, case.method, steps=STEPS, evaluate=True))
    assert worst(weights, states(together)) == 0.0
    assert notes == {str(address): notebook for address, notebook in notebooks.items()}

    fresh, _ = lockstep(job_of(plan, case.method, steps=0))
    reference = monolith(case.method, case.depth, case.groups)
    reference.load(states(fresh))
    expected = train(
        reference, batches(), lr=rates(), momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    assert worst(weights, reference.states()) < 1e-12
    for step, address in itertools.product(range(STEPS), weights):
        assert abs(notes[address].lessons[step]["task"] - expected[step][address]) < 1e-12


ADAM = replace(OPTIM, optimizer="adam", lr=1e-3, weight_decay=0.0)
LAMBDAS = (5.0, 0.5, 0.25, 2.0)
FEW: dict[str, Any] = {"iterations": (3, 2, 4), "noise": (0.4, 0.4, 0.1)}
OTHERS: dict[str, tuple[Method, OptimConfig, dict[str, Any]]] = {
    "dtp": (
        DTP(**FEW, feedback_lr=(1e-3, 1e-3, 1e-2)),
        OPTIM,
        {"depth": 3, "groups": 1, "network": "lenet", "widths": (4, 6, 8)},
    ),
    "dtp-lag": (
        DTP(**FEW, feedback_lr=(1e-3, 1e-3, 1e-2), feedback_lag=1),
        OPTIM,
        {"depth": 4, "groups": 1, "network": "lenet", "widths": (4, 6, 8)},
    ),
    "dtp-replicas": (
        DTP(**FEW, feedback_lr=(1e-3, 1e-3, 1e-2), diagnose=True),
        OPTIM,
        {
            **{"depth": 4, "groups": 1, "network": "lenet", "widths": (4, 6, 8)},
            **{"cuts": ("single",), "replicas": (1, 3, 2, 1), "window": 1},
        },
    ),
    "infopro": (InfoPro(lambdas=LAMBDAS), OPTIM, {"depth": 3, "groups": 1}),
    "contsup": (
        ContSup(mode="R1E", loss="softmax", share="maps", diversity=0.5),
        OPTIM,
        {"depth": 3, "groups": 2, "window": 1},
    ),
    "infopro-groups": (
        InfoPro(loss="softmax", lambdas=LAMBDAS, share="pooled", pool=4, diversity=0.5),
        OPTIM,
        {"depth": 2, "groups": (3, 2), "network": "resnet8", "widths": (12, 12, 12, 12)},
    ),
    "contsup-ragged": (
        ContSup(
            **{"mode": "R2E", "loss": "softmax", "share": "maps", "share_ratio": 0.5},
            **{"diversity": 0.5, "reconstruct": True, "lambdas": LAMBDAS, "tail": "aux"},
        ),
        OPTIM,
        {"depth": 3, "groups": (1, 2, 4)},
    ),
    "predsim": (
        PredSim(share="pooled", pool=4, diversity=0.5),
        ADAM,
        {
            **{"depth": 3, "groups": (2, 3, 1), "network": "vgg6a", "widths": (5, 7, 8, 7, 9)},
            **{"dropout": 0.2, "slope": 0.01},
        },
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_processes_compute_what_lockstep_computes_for_every_method(
    name: str, tmp_path: Path
) -> None:
    """And, in groups, what the monolith does; for the others see tests/test_methods.py."""
    method, optim, grid = OTHERS[name]
    plan = planned(method, **grid)
    with processes(plan.grid.processes) as children:
        make_job = partial(job_of, method=method, steps=STEPS, evaluate=True, optim=optim)
        weights, notes = train_apart(children, plan, make_job, folder=tmp_path)
    until(lambda: not grandchildren(), timeout=1, why="all processes are gone")
    together, notebooks = lockstep(job_of(plan, method, steps=STEPS, evaluate=True, optim=optim))
    assert worst(weights, states(together)) == 0.0
    assert notes == {str(address): notebook for address, notebook in notebooks.items()}
    assert any(notebook.results for notebook in notes.values())
    if name in ("infopro-groups", "contsup-ragged"):
        assert worst(weights, trained(method, plan, optim=optim)[0].states()) < 1e-12
