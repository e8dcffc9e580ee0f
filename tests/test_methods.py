"""The promise of exactness, for InfoPro, ContSup, predsim and what nobody published together.

The reference (tests/reference_local.py) imports only torch and was written from the formulas: one
monolithic model, one joint loss, one optimiser. Float64, four steps with momentum, 1e-12.
"""

import random
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
import torch
from torch import Tensor

from partition.build import LocalModule
from partition.layers import dropout_mask
from partition.plan import Plan
from tests.grids import (
    BATCH,
    CLASSES,
    IMAGE,
    OPTIM,
    RandomFeed,
    ballots_kept,
    job_of,
    lockstep,
    planned,
    states,
)
from tests.reference_local import LocalMonolith, train_local
from tests.test_exactness import STEPS, WIDTHS, worst
from workers.methods import AnyMethod
from workers.methods.contsup import ContSup
from workers.methods.gn_dgl import GNDGL
from workers.methods.infopro import InfoPro
from workers.methods.local import Auxiliary, Peers
from workers.methods.predsim import PredSim
from workers.optim import LearningRate, OptimConfig
from workers.step import Inbox, Lesson, SendContext, Step

LAMBDAS = (5.0, 0.5, 0.25, 2.0)
VGG = (6, 12, 12, 8, 16)
UNEQUAL = (14, 23, 17, 10, 9)
RAGGED = (2, 4, 2, 1, 1)
DROPOUT = 0.2


def batches(steps: int = STEPS) -> list[tuple[Tensor, Tensor, Tensor]]:
    feed = RandomFeed(2)
    images = [feed.images(step) for step in range(steps)]
    return [(x, feed.labels(step), feed.denormalised(x)) for step, x in enumerate(images)]


def mask(where: str, step: int, rows: int, channels: int) -> Tensor:
    """The masks that the grid draws: the one thing beside weights that both must share."""
    return dropout_mask(7, where, step, rows=rows, channels=channels, p=DROPOUT).double()


def reference(method: AnyMethod, plan: Plan, **changes: Any) -> LocalMonolith:
    """The monolith of the same method on the same grid."""
    lasts = accumulate(len(plan[row[0]].blocks) for row in plan.grid.rows[: plan.grid.depth])
    settings: dict[str, Any] = {
        "network": plan.network,
        "widths": plan.widths or WIDTHS,
        "cuts": tuple(lasts)[:-1],
        "groups": plan.grid.groups,
        "image": IMAGE,
        "classes": CLASSES,
        "slope": plan.style.slope,
        "mask": mask if plan.style.dropout else None,
        "tail": method.wiring().tail,
    }
    assert plan.style.dropout in (0, DROPOUT)
    if isinstance(method, Peers):
        settings |= {
            "share": method.share,
            "pool": method.pool,
            "share_ratio": method.share_ratio,
            "diversity": method.diversity,
            "temperature": method.temperature,
        }
    if isinstance(method, Auxiliary):
        settings |= {"head": method.head, "copies": method.layers, "pyramid": method.pyramid}
    if isinstance(method, PredSim):
        settings |= {
            "head": method.head,
            "beta": method.beta,
            "dim_in_decoder": method.dim_in_decoder,
        }
    if isinstance(method, InfoPro):
        settings |= {
            "task": method.loss,
            "taper": True,
            "reconstruct": method.reconstructs,
            "lambdas": method.lambdas or (1.0, 1.0, 1.0, 1.0),
        }
    if isinstance(method, ContSup):
        assert method.contexts is not None
        settings["context"] = tuple(method.contexts)
    return LocalMonolith(**{**settings, **changes}).double()


def plan_of(method: AnyMethod, depth: int, groups: int | tuple[int, ...], **more: Any) -> Plan:
    return planned(method, depth=depth, groups=groups, **more)


def trained(
    method: AnyMethod,
    plan: Plan,
    *,
    optim: OptimConfig = OPTIM,
    steps: int = STEPS,
    **changes: Any,
) -> tuple[LocalMonolith, list[dict[str, dict[str, float]]]]:
    """The monolith after some steps from the weights of the grid, and its losses."""
    fresh, _ = lockstep(job_of(plan, method, steps=0))
    monolith = reference(method, plan, **changes)
    monolith.load(states(fresh))
    rate = LearningRate(config=optim, batch=BATCH, steps_per_epoch=2)
    history = train_local(
        monolith,
        batches(steps),
        lr=[rate(step) for step in range(steps)],
        weight_decay=optim.weight_decay,
        momentum=optim.momentum,
        nesterov=optim.nesterov and optim.momentum > 0,
        optimizer=optim.optimizer,
        clip_norm=optim.clip_norm,
    )
    return monolith, history


def compare(
    method: AnyMethod,
    plan: Plan,
    *,
    seed: int = 0,
    optim: OptimConfig = OPTIM,
    theirs: OptimConfig | None = None,
    steps: int = STEPS,
    **changes: Any,
) -> float:
    """The largest difference of weights, statistics and losses after some steps.

    `theirs` and `changes` make the reference another one: a negative control.
    """
    monolith, history = trained(method, plan, optim=theirs or optim, steps=steps, **changes)
    delays = random.Random(seed)
    workers, notebooks = lockstep(
        job_of(plan, method, steps=steps, optim=optim),
        pick=lambda able: delays.randrange(len(able)),
    )
    differences = [worst(states(workers), monolith.states())]
    for address, notebook in notebooks.items():
        for mine, wanted in zip(notebook.lessons, history, strict=True):
            for name, value in wanted[str(address)].items():
                differences.append(abs(mine[name] - value))
    return max(differences)


@pytest.mark.parametrize("loss", ["contrast", "softmax"])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_infopro(depth: int, loss: str) -> None:
    method = InfoPro(loss=loss, lambdas=LAMBDAS)  # type: ignore[arg-type]
    assert compare(method, plan_of(method, depth, 1)) < 1e-12


@pytest.mark.parametrize("mode", ["R0", "R1", "R2", "R4", "E", "R1E", "R2E", "R4E"])
@pytest.mark.parametrize("loss", ["contrast", "softmax"])
def test_contsup(mode: str, loss: str) -> None:
    method = ContSup(mode=mode, loss=loss)  # type: ignore[arg-type]
    for window in (1, 3):
        assert compare(method, plan_of(method, 4, 1, window=window), seed=window) < 1e-12


def test_contsup_that_reconstructs() -> None:
    method = ContSup(mode="R1E", reconstruct=True, lambdas=LAMBDAS)
    assert compare(method, plan_of(method, 3, 1)) < 1e-12


COMBINED = [
    InfoPro(loss="softmax", lambdas=LAMBDAS, share="maps", diversity=0.5),
    InfoPro(loss="contrast", lambdas=LAMBDAS, share="pooled", pool=4),
    InfoPro(loss="contrast", lambdas=LAMBDAS, tail="head"),
    ContSup(mode="R1E", loss="softmax"),
    ContSup(mode="R2", loss="softmax", share="maps", diversity=0.5),
    ContSup(mode="E", loss="contrast", share="pooled", pool=4),
    ContSup(mode="R1E", loss="softmax", diversity=0.5, tail="head"),
    ContSup(
        mode="R1E",
        loss="softmax",
        share="maps",
        share_ratio=0.5,
        diversity=0.5,
        reconstruct=True,
        lambdas=LAMBDAS,
        tail="aux",
    ),
]


@pytest.mark.parametrize("method", COMBINED, ids=str)
@pytest.mark.parametrize(("depth", "groups"), [(3, 2), (4, 4)])
def test_combinations_that_nobody_published(method: AnyMethod, depth: int, groups: int) -> None:
    assert compare(method, plan_of(method, depth, groups), seed=depth) < 1e-12


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.75])
@pytest.mark.parametrize("groups", [2, 4])
def test_a_share_of_the_peers_channels(groups: int, ratio: float) -> None:
    """Unlike the released code, every group's own slice keeps its gradient."""
    method = GNDGL(share="maps", share_ratio=ratio)
    assert compare(method, plan_of(method, 2, groups)) < 1e-12


@pytest.mark.parametrize(
    ("head", "diversity"),  # a head without class logits has no diversity term: refused
    [("predsim", 0.0), ("predsim", 0.5), ("pred", 0.0), ("pred", 0.5), ("sim", 0.0)],
)
@pytest.mark.parametrize("share", ["none", "maps", "pooled"])
def test_predsim_on_a_ragged_grid(head: str, share: str, diversity: float) -> None:
    method = PredSim(head=head, share=share, pool=4, diversity=diversity)  # type: ignore[arg-type]
    plan = planned(
        method, depth=5, groups=RAGGED, network="vgg6a", widths=VGG, dropout=DROPOUT, slope=0.01
    )
    adam = replace(OPTIM, optimizer="adam", lr=1e-3, weight_decay=0.0)
    assert compare(method, plan, optim=adam) < 1e-12


def test_groups_of_unequal_size() -> None:
    method = PredSim(share="maps", share_ratio=0.6, diversity=0.5)
    plan = planned(method, depth=5, groups=(4, 5, 5, 3, 2), network="vgg6a", widths=UNEQUAL)
    assert {m.writes[0] for m in plan.modules if m.address.k == 1} == {4, 5}
    assert compare(method, plan) < 1e-12


def test_contexts_on_a_ragged_grid() -> None:
    method = ContSup(mode="R2E", loss="softmax", share="maps", diversity=0.5)
    plan = planned(method, depth=3, groups=(2, 4, 1))
    assert compare(method, plan) < 1e-12


CONTROLS: list[tuple[AnyMethod, dict[str, Any]]] = [
    (InfoPro(lambdas=LAMBDAS), {"lambdas": (5.0, 0.5, 0.25, 1.9)}),
    (InfoPro(loss="softmax", lambdas=LAMBDAS, diversity=0.5), {"diversity": 0.25}),
    (ContSup(mode="R1E", loss="softmax", diversity=0.5), {"temperature": 2.0}),
]


@pytest.mark.parametrize(("method", "changes"), CONTROLS, ids=str)
def test_the_comparison_notices(method: AnyMethod, changes: dict[str, Any]) -> None:
    """Negative controls: another method is another number, or does not even have the weights."""
    assert compare(method, plan_of(method, 4, 2), **changes) > 1e-6


OTHER_SHAPES: list[tuple[AnyMethod, dict[str, Any]]] = [
    (InfoPro(lambdas=LAMBDAS, tail="head"), {"taper": False}),
    (ContSup(mode="R1E", loss="softmax"), {"context": (1, False)}),
    (ContSup(mode="R2", loss="softmax"), {"context": (1, False)}),
    (GNDGL(share="maps", share_ratio=0.5), {"share_ratio": 0.75}),
]


@pytest.mark.parametrize(("method", "changes"), OTHER_SHAPES, ids=str)
def test_another_method_has_other_weights(method: AnyMethod, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"missing or unknown|, not \("):
        compare(method, plan_of(method, 4, 2), **changes)


class Unsupplemented(ContSup):
    """Sends on what it heard, not what it read: contexts of the right shape, and wrong."""

    def learn(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[Lesson]:
        step, answer = super().learn(module, inbox, labels), None
        while True:
            try:
                word = step.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(word, SendContext):
                word = SendContext(module.owned(inbox.features))
            answer = yield word


def test_contexts_of_the_wrong_tensor_are_noticed() -> None:
    method = Unsupplemented(mode="R2", loss="softmax")
    assert compare(method, plan_of(method, 4, 1)) > 1e-6


def test_the_weight_of_similarity_is_noticed() -> None:
    method = PredSim(share="maps")
    plan = planned(method, depth=5, groups=RAGGED, network="vgg6a", widths=VGG)
    assert compare(method, plan, beta=0.98) > 1e-6


@pytest.mark.parametrize(
    ("method", "grid"),
    [
        (InfoPro(lambdas=LAMBDAS), {"depth": 3, "groups": 2}),
        (ContSup(mode="R1E", loss="softmax", share="maps"), {"depth": 3, "groups": 2}),
        (
            PredSim(share="maps"),
            {
                **{"depth": 4, "groups": (2, 4, 1, 2), "network": "vgg6a", "widths": VGG},
                **{"dropout": DROPOUT, "slope": 0.01},
            },
        ),
    ],
    ids=["contrast", "contexts", "pools"],
)
def test_evaluation_votes_like_the_monolith(method: AnyMethod, grid: dict[str, Any]) -> None:
    plan = planned(method, **grid)
    with ballots_kept() as ballots:
        workers, notebooks = lockstep(job_of(plan, method, steps=STEPS, evaluate=True))
    silent, _ = lockstep(job_of(plan, method, steps=STEPS))
    assert worst(states(workers), states(silent)) == 0.0
    monolith = reference(method, plan)
    monolith.load(states(workers))
    feed = RandomFeed(2)
    votes = [monolith.votes(feed.eval_images("test", i)) for i in range(2)]
    joined = [torch.cat(parts) for parts in zip(*votes, strict=True)]
    assert float((torch.cat(ballots[-2:]) - torch.stack(joined, dim=1)).abs().max()) < 1e-12
    labels = torch.cat([feed.eval_labels("test", i) for i in range(2)])
    expected = [100 * float((p.argmax(1) == labels).double().mean()) for p in joined]
    result = notebooks[plan.grid.rows[-1][0]].results[-1]
    told = dict(enumerate([*result.rows, result.head]))
    assert {k: row for k, row in told.items() if row is not None} == pytest.approx(
        dict(zip(plan.predictors, expected, strict=True))
    )
