"""NaN and infinity are no settings: they are found in every option of every part of a run."""

import math
from dataclasses import Field, fields, replace
from typing import Any, cast

from runtime.config import Config, flag


def finite(config: Config) -> tuple[Config, list[str]]:
    """The configuration without such numbers, and a problem for each option that has one.

    In its place stands the option's default, so that everything else can be checked, too.
    """
    problems: list[str] = []
    parts: dict[str, Any] = {}
    for part in fields(config):
        values = getattr(config, part.name)
        wrong = [option for option in fields(values) if not _finite(getattr(values, option.name))]
        problems += (_problem(option, getattr(values, option.name)) for option in wrong)
        parts[part.name] = replace(values, **{option.name: option.default for option in wrong})
    return Config(**parts), problems


def _numbers(value: object) -> list[float]:
    members = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
    return [number for number in members if isinstance(number, float)]


def _finite(value: object) -> bool:
    return all(map(math.isfinite, _numbers(value)))


def _problem(option: Field[Any], value: object) -> str:
    given = " ".join(f"{number:g}" for number in _numbers(value))
    several = "finite numbers" if isinstance(value, tuple) else "a finite number"
    return f"{flag(option.name)} {given}: give {several}"
