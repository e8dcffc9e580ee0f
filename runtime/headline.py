"""Which accuracy of an evaluation belongs in a paper, and in words what each of them is.

    row k       the heads of row k: the mean of its groups' class probabilities
    head        the read-out head behind the last row; no row learns from its loss
    ensemble    rows and head together, each with twice the weight of the one before
    member      group 0 of the last row alone

GN-DGL's code reports the ensemble, and of groups that never meet one member ("single thread"). All
others report the network's own answer: the read-out head's, or the last row's where there is none.
"""

from collections.abc import Iterator
from typing import Protocol

from comm.route import Kind
from partition.plan import Plan
from workers.ballot import Reported
from workers.methods import METHODS

SPLITS = {"test": "test", "val": "validation"}


class Accuracies(Protocol):
    """An evaluation, in percent: a result as it is counted, or the report of one."""

    @property
    def epoch(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def split(self) -> str: ...
    @property
    def rows(self) -> tuple[float | None, ...]: ...
    @property
    def head(self) -> float | None: ...
    @property
    def ensemble(self) -> float: ...
    @property
    def member(self) -> float | None: ...


def _groups(plan: Plan, k: int) -> int:
    """The groups of a row, replicas not counted."""
    return plan[plan.grid.rows[k][0]].groups


def reported(plan: Plan) -> Reported:
    """Which accuracy papers report of runs like this one."""
    found = METHODS[plan.method].reports
    alone = plan.grid.depth == 1 and not plan.grid.readout and _groups(plan, 0) > 1
    meet = any(route.kind is Kind.PEER and route.learning for route in plan.routes)
    return "member" if found == "ensemble" and alone and not meet else found


def accuracy(plan: Plan, result: Accuracies) -> float:
    """That accuracy, in percent."""
    which = reported(plan)
    if which == "member" and result.member is not None:
        return result.member
    answers = [a for a in (*result.rows, result.head) if a is not None]
    return answers[-1] if which == "network" and answers else result.ensemble


def source(plan: Plan) -> str:
    """Whose accuracy that is, in a few words."""
    last, which = plan.grid.depth - 1, reported(plan)
    if which == "member":
        return f"group 0 alone, one of {_groups(plan, 0)} thin networks"
    if which == "ensemble" and len(plan.predictors) > 1:
        return "the ensemble"
    if plan.grid.readout:
        return "the read-out head"
    groups = _groups(plan, last)
    mean = f", the mean of its {groups} groups" if groups > 1 else ""
    return f"row {last}, the last{mean}" if last or mean else "the network"


def headline(plan: Plan, result: Accuracies) -> str:
    """The accuracy of an evaluation that belongs in a paper, as a sentence."""
    who = "papers report" if reported(plan) == "network" else "GN-DGL's published code reports"
    return (
        f"{SPLITS[result.split]} accuracy {accuracy(plan, result):.2f} % after epoch "
        f"{result.epoch} (step {result.step}): {source(plan)}, the figure that {who}"
    )


def legend(plan: Plan) -> Iterator[str]:
    """What the columns of an evaluation are, a line for each that there is."""
    last = plan.grid.depth - 1
    groups = max(_groups(plan, k) for k in range(last + 1))
    if last or groups > 1 or plan.grid.readout:
        mean = ": the mean of its groups' class probabilities" if groups > 1 else ""
        yield f"row k     the heads of row k alone{mean}"
    if plan.grid.readout:
        yield "head      the read-out head behind the last row; no row learns from its loss"
    if len(plan.predictors) > 1:
        yield "ensemble  all of these together, each with twice the weight of the one before"
    if _groups(plan, last) > 1 and not plan.grid.readout:
        yield "member    group 0 of the last row alone"
