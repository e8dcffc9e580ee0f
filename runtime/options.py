"""How tyro shows the options: which of them, and what stands beside each."""

from collections.abc import Callable
from dataclasses import is_dataclass, replace
from types import UnionType
from typing import Annotated, Any, Literal, cast, get_args, get_origin

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from partition.advanced import ADVANCED

Hidden = Literal["nothing", "advanced", "everything"]


def options(hide: Hidden) -> ConstructorRegistry:
    """Tyro's rules for our dataclasses. What is hidden can not be given: hide for help alone.

    An option without a word for its default (None, no numbers, a flag) has none in its help:
    there its sentence says what happens.
    """
    registry, asked = ConstructorRegistry(), list[StructTypeInfo]()

    @registry.struct_rule
    def rule(info: StructTypeInfo) -> StructConstructorSpec | None:
        kind = cast(Any, info.type)
        if info in asked or not is_dataclass(kind) or kind.__module__.startswith("tyro"):
            return None
        asked.append(info)  # the next to be asked is tyro's own rule
        spec = ConstructorRegistry.get_struct_spec(info)
        asked.remove(info)
        assert isinstance(spec, StructConstructorSpec)
        return replace(spec, fields=tuple(_shown(field, hide) for field in spec.fields))

    return registry


def _shown(field: StructFieldSpec, hide: Hidden) -> StructFieldSpec:
    """The option as it stands in the help; a group of options needs no more than its name."""
    given = cast(Any, field.type)
    if is_dataclass(given) or is_dataclass(field.default):
        return replace(field, helptext="")
    marks: list[Any] = []
    annotated = get_origin(given) is Annotated
    advanced = annotated and ADVANCED in get_args(given)[1:]
    if hide == "everything" or (hide == "advanced" and advanced):
        marks.append(tyro.conf.Suppress)
    if field.default is None or field.default == () or isinstance(field.default, bool):
        marks.append(tyro.conf.arg(help_behavior_hint=""))
    if many := _members(get_args(given)[0] if annotated else given):
        marks.append(tyro.conf.arg(metavar=f"{many.__name__.upper()} ..."))
    kind: Any = Annotated[(given, *marks)] if marks else given
    return replace(field, type=kind, helptext=_flowing(field.helptext))


def _flowing(text: str | Callable[[], str | None] | None) -> Callable[[], str | None]:
    """The sentences of a docstring without its line breaks."""

    def joined() -> str | None:
        words = text() if callable(text) else text
        return words and " ".join(words.split())

    return joined


def _members(kind: Any) -> type | None:
    """What there may be any number of: float, of `tuple[float, ...] | None`."""
    for choice in get_args(kind) if isinstance(kind, UnionType) else (kind,):
        if get_origin(choice) is tuple and get_args(choice)[1:] == (...,):
            return get_args(choice)[0]
    return None
