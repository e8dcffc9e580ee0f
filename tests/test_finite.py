"""Numbers that are none are refused, whatever the option; and no file holds null in their place."""

import dataclasses
import json
import math
from dataclasses import Field, fields, replace
from typing import Any, get_type_hints

import pytest

from comm.errors import BadInput
from launch import main
from runtime.config import Config, flag, from_json, to_json
from runtime.finite import finite
from runtime.opening import settled
from runtime.ready import make_ready
from workers.methods import METHODS

NONE = (math.nan, math.inf, -math.inf)


def floats(values: object) -> list[Field[Any]]:
    """The fields of a dataclass whose type has a float in it."""
    hints = get_type_hints(type(values))
    assert dataclasses.is_dataclass(values)
    return [option for option in fields(values) if "float" in repr(hints[option.name])]


def several(option: Field[Any], values: object) -> bool:
    return "tuple" in repr(get_type_hints(type(values))[option.name]) or option.name == "lambdas"


EVERY = [
    (method, part, option)
    for method, kind in METHODS.items()
    for part in ("method", "grid", "data", "optim", "run")
    for config in [Config(method=kind())]  # pyright: ignore[reportArgumentType]
    for option in floats(getattr(config, part))
    if part == "method" or method == "gn-dgl"
]


def test_there_are_such_options_in_every_part() -> None:
    assert {part for _, part, _ in EVERY} == {"method", "grid", "data", "optim", "run"}
    names = {option.name for *_, option in EVERY}
    assert {"lr", "stall", "weight_decay", "lambdas", "noise", "mean", "sleep", "slope"} <= names


@pytest.mark.parametrize(
    ("method", "part", "option"), EVERY, ids=[f"{m}-{o.name}" for m, _, o in EVERY]
)
def test_a_number_that_is_none_is_the_one_problem(
    method: str, part: str, option: Field[Any]
) -> None:
    config = Config(method=METHODS[method]())  # pyright: ignore[reportArgumentType]
    values = getattr(config, part)
    for number in NONE:
        value = (1.0, number) if several(option, values) else number
        wrong = replace(config, **{part: replace(values, **{option.name: value})})
        known, (problem,) = finite(wrong)
        assert problem.startswith(f"{flag(option.name)} ")
        assert f"{number:g}: give" in problem and "finite" in problem
        assert known == config
        with pytest.raises(ValueError, match="not JSON compliant"):
            to_json(wrong)
    grid = replace(config.grid, network="lenet" if method == "dtp" else "resnet8")
    wrong = replace(config, grid=grid)
    wrong = replace(wrong, **{part: replace(getattr(wrong, part), **{option.name: value})})
    with pytest.raises(BadInput) as refused:
        make_ready(settled(wrong))
    assert refused.value.problems == (problem,)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--lr nan", "--lr nan: give a finite number"),
        ("--lr 1e400", "--lr inf: give a finite number"),
        ("--stall nan", "--stall nan: give a finite number"),
        ("--weight-decay inf", "--weight-decay inf: give a finite number"),
        ("--warmup=-inf", "--warmup -inf: give a finite number"),
        ("--sleep 0 nan", "--sleep 0 nan: give finite numbers"),
    ],
)
def test_it_is_refused_on_the_command_line(
    words: str,
    problem: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = f"launch.py plan dgl --network resnet8 --depth 2 {words}"
    monkeypatch.setattr("sys.argv", line.split())
    assert main() == 2
    assert capsys.readouterr().err == f"error: {problem}\n"


def test_every_number_that_was_given_is_in_the_file() -> None:
    config = Config(optim=replace(Config().optim, lr=1e-300, warmup=0.1 + 0.2))
    written = json.loads(to_json(config))
    assert (written["optim"]["lr"], written["optim"]["warmup"]) == (1e-300, 0.1 + 0.2)
    assert from_json(to_json(config)) == config
