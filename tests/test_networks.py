"""The promise of exactness for every network, auxiliary net, tail and optimiser there is.

As in tests/test_methods.py: float64, four steps, to 1e-12 what the monolith of
tests/reference_local.py computes. Each case below has several things that stand in no other one.
"""

from dataclasses import replace
from typing import Any

import pytest

from partition.plan import Plan
from tests import test_heads
from tests.grids import OPTIM, planned
from tests.test_methods import DROPOUT, LAMBDAS, compare
from workers.methods import AnyMethod
from workers.methods.contsup import ContSup
from workers.methods.dgl import DGL
from workers.methods.gn_dgl import GNDGL
from workers.methods.infopro import InfoPro
from workers.methods.predsim import PredSim

CNN6: dict[str, Any] = {"network": "cnn6", "widths": (4, 6, 6, 8, 8, 10)}
MLP: dict[str, Any] = {"network": "mlp", "widths": (12, 9, 10, 8)}
VGG: dict[str, Any] = {"network": "vgg6a", "widths": (6, 8, 8, 10, 12)}
R20: dict[str, Any] = {"network": "resnet20", "widths": (8, 8, 16, 16)}

Case = tuple[AnyMethod, dict[str, Any]]
CASES: dict[str, Case] = {
    # auxiliary nets on ResNets
    "0c1f, aux": (DGL(head="0c1f", tail="aux"), {"depth": 3, "groups": 1}),
    "0c2f, groups": (GNDGL(head="0c2f", share="none"), {"depth": 2, "groups": 2}),
    "1c1f, maps": (GNDGL(head="1c1f", share="maps", tail="aux"), {"depth": 2, "groups": 2}),
    "1c3f kept": (InfoPro(head="1c3f", loss="softmax", lambdas=LAMBDAS, tail="aux"), {"depth": 4}),
    "2c2f kept": (InfoPro(head="2c2f", lambdas=LAMBDAS, tail="mlp"), {"depth": 3}),
    "mlp, pooled in part": (
        GNDGL(head="mlp", pool=4, share_ratio=0.5, tail="mlp"),
        {"depth": 2, "groups": 2},
    ),
    "mlp-sr, alone": (GNDGL(head="mlp-sr", share="none", tail="head"), {"depth": 2, "groups": 2}),
    "cnn, ragged": (GNDGL(head="cnn", share="maps", tail="aux"), {"depth": 3, "groups": (2, 1, 4)}),
    "layers, pyramid": (
        DGL(head="layers", layers=4, pyramid=True),
        {"depth": 5, "cuts": ("single",), **R20},
    ),
    "layers, groups": (GNDGL(head="layers", layers=1, pool=4), {"depth": 2, "groups": 2}),
    "layers, thin": (GNDGL(head="layers", share="none"), {"depth": 2, "groups": 2}),
    # other networks
    "resnet20, dropped": (GNDGL(pool=4), {"depth": 3, "groups": 2, "dropout": DROPOUT, **R20}),
    "cnn6, dropped": (
        GNDGL(share="maps", share_ratio=0.7),
        {"depth": 3, "groups": (2, 4, 2), "dropout": DROPOUT, "slope": 0.1, **CNN6},
    ),
    "cnn6, cnn": (
        DGL(head="cnn", tail="mlp"),
        {"depth": 4, "cuts": ("conv1", "conv2", "conv5"), **CNN6},
    ),
    "mlp": (GNDGL(share="maps", tail="aux"), {"depth": 3, "groups": (2, 3, 1), **MLP}),
    "mlp, mlp": (DGL(head="mlp", tail="mlp"), {"depth": 2, **MLP}),
    "mlp, cnn": (GNDGL(head="cnn", tail="fc"), {"depth": 2, "groups": 2, **MLP}),
    "vgg6a in two": (
        GNDGL(tail="fc", pool=2),
        {"depth": 2, "groups": 2, "dropout": DROPOUT, **VGG},
    ),
    "vgg6a, decoders": (
        InfoPro(loss="softmax", lambdas=LAMBDAS, share="maps", tail="fc"),
        {"depth": 3, "groups": 2, "cuts": ("conv2", "conv4"), "dropout": DROPOUT, **VGG},
    ),
    "cnn6, contexts": (
        ContSup(mode="R2E", loss="softmax", tail="mlp"),
        {"depth": 4, "groups": (1, 2, 2, 1), **CNN6},
    ),
    # predsim
    "predsim, resnet": (PredSim(share="maps", diversity=0.5), {"depth": 3, "groups": (2, 1, 4)}),
    "predsim, fc": (PredSim(tail="fc", share="none"), {"depth": 3, "groups": 2}),
    "pred, mlp": (PredSim(head="pred", tail="mlp", dim_in_decoder=200), {"depth": 2, **CNN6}),
    "predsim, flat": (PredSim(share="maps", tail="aux"), {"depth": 3, "groups": 2, **MLP}),
    "predsim, vgg6a, fc": (
        PredSim(share="maps", tail="fc", diversity=0.5),
        {"depth": 5, "groups": (2, 4, 2, 1, 3), "dropout": DROPOUT, "slope": 0.01, **VGG},
    ),
}  # fmt: skip


def plan_of(case: Case, **more: Any) -> Plan:
    method, grid = case
    return planned(method, **{"groups": 1, **grid, **more})


def test_the_cases_have_what_no_other_test_has() -> None:
    plans = [plan_of(case) for case in CASES.values()]
    heads = {module.head.kind for plan in plans for module in plan.modules}
    assert heads >= {*test_heads.CONV_FC, *test_heads.MLP, "layers"} - {"1c2f"} | {
        "pred",
        "predsim",
    }
    assert {plan.network for plan in plans} >= {"cnn6", "mlp", "resnet20", "vgg6a"}
    assert {plan.wiring.tail for plan in plans} == {"head", "aux", "fc", "mlp"}
    assert any(plan.wiring.share == "pooled" and plan.wiring.ratio < 1 for plan in plans)


@pytest.mark.parametrize("name", CASES)
def test_a_grid_is_its_monolith(name: str) -> None:
    assert compare(CASES[name][0], plan_of(CASES[name])) < 1e-12


OPTIMS = {
    "no momentum": replace(OPTIM, momentum=0.0),
    "no Nesterov": replace(OPTIM, nesterov=False),
    "clipped": replace(OPTIM, clip_norm=0.3),
    "decayed Adam": replace(OPTIM, optimizer="adam", lr=1e-3, weight_decay=1e-2, clip_norm=0.5),
}
FOR_OPTIMS: Case = (GNDGL(pool=4), {"depth": 2, "groups": 2})


@pytest.mark.parametrize("name", OPTIMS)
def test_every_way_to_update(name: str) -> None:
    assert compare(FOR_OPTIMS[0], plan_of(FOR_OPTIMS), optim=OPTIMS[name]) < 1e-12


@pytest.mark.parametrize("name", ["no Nesterov", "clipped"])
def test_another_update_is_noticed(name: str) -> None:
    """Negative controls: the monolith updates as usual."""
    plan, other = plan_of(FOR_OPTIMS), OPTIMS[name]
    assert compare(FOR_OPTIMS[0], plan, optim=other, theirs=OPTIM) > 1e-6


# What float32 may differ from the monolith in float64 after four steps, in weights and losses of
# about one. Its rounding is 6e-8; behind a batch-norm over six images it grows.
FLOAT32 = 2e-5


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["resnet20, dropped", "cnn6, contexts", "vgg6a, decoders"])
def test_layout_and_precision_change_nothing_but_rounding(name: str, dtype: str) -> None:
    plan = plan_of(CASES[name], dtype=dtype, channels_last=True)
    apart = compare(CASES[name][0], plan)
    assert apart < (1e-12 if dtype == "float64" else FLOAT32)
