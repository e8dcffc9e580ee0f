"""classes.json of a run directory: what each number that the network answers with stands for.

{"classes": ["airplane", "automobile", …]}    the names, in the order of the numbers from 0
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from comm.decoding import read
from comm.errors import Damaged
from workers.aside import replace

NAME = "classes.json"
SHOWN = 10  # names in a message


class _Classes(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    classes: tuple[str, ...]


def write_classes(root: Path, names: Sequence[str]) -> None:
    """Keep the names in the run directory `root`."""
    text = msgspec.json.encode(_Classes(classes=tuple(names)))
    replace(root / NAME, msgspec.json.format(text) + b"\n")


def read_classes(root: Path) -> tuple[str, ...]:
    """The names, by number. Raises Damaged if the file is missing or damaged."""
    try:
        return read(root / NAME, _Classes).classes
    except Damaged as error:
        why = f"{error.why}; launch.py train --resume {root} writes it again"
        raise Damaged(error.path, why) from error


def changed_classes(root: Path, now: Sequence[str]) -> list[str]:
    """How the names of a dataset differ from those of the run, as problems; none if they do not."""
    try:
        known = read_classes(root)
    except Damaged as error:
        return list(error.problems)
    gone, new = (
        [name for name in these if name not in those]
        for these, those in ((known, now), (now, known))
    )
    problems: list[str] = []
    for names, where in ((gone, "only in the run"), (new, "only among the images")):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            problems.append(f"{root}: classes {where}: {', '.join(names[:SHOWN])}{more}")
    return problems
