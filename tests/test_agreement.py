"""What the processes of a run compare before they begin: all that makes its numbers, no more."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from partition.config import GridConfig
from runtime.config import Config, RunConfig
from runtime.opening import settled
from runtime.ready import make_ready
from workers.data.config import DataConfig
from workers.methods.gn_dgl import GNDGL
from workers.optim import OptimConfig

CONFIG = Config(
    method=GNDGL(),
    grid=GridConfig(network="mlp", widths=(8, 8), depth=2, groups=(2,)),
    data=DataConfig(image_size=8),
    optim=OptimConfig(),
    run=RunConfig(threads=1),
)


def digest(part: str = "run", **changes: Any) -> str:
    changed = replace(CONFIG, **{part: replace(getattr(CONFIG, part), **changes)})  # type: ignore[arg-type]
    return make_ready(settled(changed)).digest


@pytest.fixture(scope="module")
def plain() -> str:
    return digest()


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("method", {"diversity": 0.25}),
        ("grid", {"groups": (1,)}),
        ("grid", {"window": 3}),
        ("data", {"batch": 31}),
        ("data", {"image_size": 9}),
        ("optim", {"lr": 0.01}),
        ("optim", {"max_steps": 7}),
        ("run", {"seed": 1}),
        ("run", {"eval_every": 2}),
        ("run", {"save_every": 2}),
    ],
    ids=str,
)
def test_what_makes_other_numbers_or_other_turns_is_another_run(
    plain: str, part: str, changes: dict[str, object]
) -> None:
    assert digest(part, **changes) != plain


def test_another_plan_of_the_same_settings_is_another_run(plain: str) -> None:
    """As other code may draw it from the same command line."""
    ready = make_ready(settled(CONFIG))
    assert ready.digest == plain
    drawn = replace(ready.plan, batch=ready.plan.batch + 1)
    assert replace(ready, plan=drawn).digest != plain


def test_what_may_differ_from_host_to_host_is_not_compared(plain: str, tmp_path: Path) -> None:
    where = {"run_dir": tmp_path / "run", "stall": 77.0, "threads": None, "save_minutes": 5.0}
    assert digest(**where) == plain
