"""The methods, networks and datasets there are, with a line each."""

import sys
from collections.abc import Iterator
from typing import Literal

from partition.networks import NETWORKS, network
from partition.networks.block import Style
from workers.data.published import PUBLISHED
from workers.data.registry import DATASETS
from workers.methods import METHODS

Kind = Literal["methods", "networks", "datasets"]


def catalogue(kind: Kind) -> str:
    """A line for each of a kind, in the order in which they are registered."""
    lines = dict({"methods": _methods, "networks": _networks, "datasets": _datasets}[kind]())
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {line}" for name, line in lines.items())


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _methods() -> Iterator[tuple[str, str]]:
    for name, method in METHODS.items():
        yield name, _first_line(method.__doc__)


def _networks() -> Iterator[tuple[str, str]]:
    for name, (widths, what, _) in NETWORKS.items():
        net = network(name, None, (3, 32, 32), Style(), 10)
        usual = ", ".join(m for m, method in METHODS.items() if method.network == name)
        words = (
            f"{len(net.blocks)} blocks, {what}: {' '.join(map(str, widths))}",
            *("it has feedback mirrors, as dtp needs",) * net.classifies,
            *(f"the default of {usual}",) * bool(usual),
        )
        yield name, "; ".join(words)


def _datasets() -> Iterator[tuple[str, str]]:
    for name, make in DATASETS.items():
        if name in PUBLISHED:
            how = PUBLISHED[name]
            yield name, f"{how.title}, images of {how.size}x{how.size}: --download fetches it."
        else:
            yield name, _first_line(sys.modules[make.__module__].__doc__)
