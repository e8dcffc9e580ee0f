"""What the modules of a run have left, as far as it can be read; what can not is told in words.

A run that ended badly has traces too, and they say most about why. So nothing here raises.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from comm.decoding import read
from comm.errors import Damaged
from partition.plan import Plan
from runtime.recorded import resumes
from runtime.run_dir import RunDir
from workers.metrics import metrics


class Timing(msgspec.Struct, kw_only=True):
    """A module's `timing.json`, as far as the table needs it."""

    rank: int
    resident: int
    images: int
    seconds: float
    learning: float
    waited: dict[str, float]
    step: int
    turns: int


@dataclass(frozen=True, kw_only=True)
class Traces:
    """Every evaluation, oldest first; by address, what each module measured of itself.

    `words` are sentences on what is worth knowing of both.
    """

    evaluations: Sequence[dict[str, Any]]
    timings: dict[str, Timing]
    words: Sequence[str]


def traces(run_dir: RunDir, plan: Plan) -> Traces:
    """The traces of a run."""
    words, results = list[str](), list[dict[str, Any]]()
    try:
        found = metrics(run_dir.metrics(plan.grid.rows[-1][0]))
    except Damaged as error:
        words.append(str(error))
    else:
        told = (line.evaluation for line in found.lines if line.evaluation is not None)
        results += map(dataclasses.asdict, told)
        if found.torn:
            words.append(f"{found.path} ends in half a line, as a sudden end leaves it: left out")
        if found.damage:
            words.append(f"{found.damage}: left out")
    timings: dict[str, Timing] = {}
    for address in plan.grid:
        path = run_dir.timing(address)
        if path.exists():
            try:
                timings[str(address)] = read(path, Timing)
            except Damaged as error:
                words.append(f"{error}: left out")
    return Traces(evaluations=results, timings=timings, words=[*words, *_past(run_dir)])


def _past(run_dir: RunDir) -> list[str]:
    """Where the run went on in a way that changed its last bits."""
    try:
        inexact = [resume for resume in resumes(run_dir) if not resume.exact]
    except Damaged as error:
        return [str(error)]
    return [
        f"it went on from batch {resume.turn} with {', '.join(resume.changes)}: from there on the "
        "last bits are not those of a run that was never interrupted"
        for resume in inexact
    ]
