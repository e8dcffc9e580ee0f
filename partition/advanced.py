"""Marks the options that the short help leaves out: `floor: Advanced[float] = 0.0`."""

from typing import Annotated, TypeVar

T = TypeVar("T")
ADVANCED = "advanced"
Advanced = Annotated[T, ADVANCED]
