"""Of several accuracies one belongs in a paper: which, and that it is said last and in words."""

from dataclasses import asdict, replace

import pytest
from rich.console import Group

from comm.telemetry import Evaluated
from partition.plan import Plan
from runtime.headline import accuracy, headline, legend, reported, source
from runtime.summary import last_words, results_line, results_table
from tests.grids import planned
from tests.test_fitted import printed
from workers.ballot import Result
from workers.methods import name_of
from workers.methods.backprop import Backprop
from workers.methods.dgl import DGL
from workers.methods.gn_dgl import GNDGL
from workers.methods.infopro import InfoPro
from workers.methods.predsim import PredSim

ROWS, HEAD, ENSEMBLE, MEMBER = (11.0, 22.0, 33.0), 44.0, 55.0, 66.0
THIN = GNDGL(share="none", diversity=0.0, tail="aux")


def drawn(method, depth: int, groups: int) -> Plan:  # type: ignore[no-untyped-def]
    return replace(planned(method, depth=depth, groups=groups), method=name_of(method))


def result(plan: Plan, *, epoch: int = 2, split: str = "test") -> Result:
    last = plan.grid.depth - 1
    several = plan.grid.groups[last] > 1 and not plan.grid.readout
    return Result(
        epoch=epoch,
        step=20,
        split=split,
        images=9,
        rows=ROWS[: last + 1],
        head=HEAD if plan.grid.readout else None,
        ensemble=ENSEMBLE,
        loss=1.5,
        member=MEMBER if several else None,
    )


@pytest.mark.parametrize(
    ("method", "depth", "groups", "value", "words"),
    [
        (GNDGL(), 3, 2, ENSEMBLE, "the ensemble"),
        (GNDGL(), 1, 2, ENSEMBLE, "the ensemble"),  # its key 1A
        (GNDGL(tail="fc"), 2, 2, ENSEMBLE, "the ensemble"),
        (THIN, 1, 4, MEMBER, "group 0 alone, one of 4 thin networks"),
        (replace(THIN, share="maps"), 1, 4, ENSEMBLE, "row 0, the last, the mean of its 4 groups"),
        (replace(THIN, diversity=0.5), 1, 4, ENSEMBLE, "row 0, the last, the mean of its 4 groups"),
        (THIN, 2, 2, ENSEMBLE, "the ensemble"),
        (DGL(), 3, 1, ROWS[2], "row 2, the last"),
        (DGL(tail="head"), 2, 1, HEAD, "the read-out head"),
        (InfoPro(lambdas=(5.0, 0.5, 0.25, 2.0)), 2, 1, ROWS[1], "row 1, the last"),
        (PredSim(), 2, 2, HEAD, "the read-out head"),
        (PredSim(tail="fc"), 2, 2, ROWS[1], "row 1, the last, the mean of its 2 groups"),
        (Backprop(), 1, 1, ROWS[0], "the network"),
    ],
)
def test_the_accuracy_that_papers_report(
    method: object, depth: int, groups: int, value: float, words: str
) -> None:
    """As the published codes evaluate: spec §1.8, §2, §4, §5, and the classifier elsewhere."""
    plan = drawn(method, depth, groups)
    found = result(plan)
    assert (accuracy(plan, found), source(plan)) == (value, words)
    sentence = headline(plan, found)
    assert sentence.startswith(f"test accuracy {value:.2f} % after epoch 2 (step 20): {words}, ")
    whose = "GN-DGL's published code reports" if isinstance(method, GNDGL) else "papers report"
    assert sentence.endswith(f"the figure that {whose}")


def test_what_there_is_more_than_one_of_is_explained_once() -> None:
    names = [line.split("  ")[0] for line in legend(drawn(GNDGL(), 2, 2))]
    assert names == ["row k", "head", "ensemble"]
    assert [line.split("  ")[0] for line in legend(drawn(THIN, 1, 2))] == ["row k", "member"]
    assert list(legend(drawn(Backprop(), 1, 1))) == []
    assert "groups" not in " ".join(legend(drawn(DGL(), 3, 1)))


def test_the_table_has_the_columns_that_differ() -> None:
    plan = drawn(DGL(), 2, 1)
    lines = printed(results_table(plan, [asdict(result(plan))]), 80)
    assert lines[1].split() == ["epoch", "split", "row", "0", "row", "1", "ensemble", "loss"]
    assert lines[2].split() == ["2", "test", "11.00", "22.00", "55.00", "1.5000"]
    alone = drawn(Backprop(), 1, 1)
    lines = printed(results_table(alone, [asdict(result(alone))]), 80)
    assert lines[1].split() == ["epoch", "split", "row", "0", "loss"]


def test_a_line_says_the_same_first() -> None:
    plan = drawn(GNDGL(), 2, 2)
    told = {name: value for name, value in asdict(result(plan)).items() if name != "images"}
    line = results_line(plan, Evaluated(**told))
    assert line.startswith("epoch 2: test accuracy 55.00 % (the ensemble); rows 11.00 22.00, ")
    assert reported(plan) == "ensemble"


def test_the_headline_is_of_the_last_evaluation_of_test_images_if_there_is_one() -> None:
    plan = drawn(DGL(), 2, 1)
    found = [asdict(result(plan, epoch=e, split=s)) for e, s in ((1, "test"), (2, "test"))]
    assert [words.split(":")[0] for words in last_words(plan, found)] == [
        "test accuracy 22.00 % after epoch 2 (step 20)"
    ]
    checked = [*found, asdict(result(plan, epoch=3, split="val"))]
    (words,) = last_words(plan, checked)
    assert "test accuracy" in words and "epoch 2" in words
    (words,) = last_words(plan, checked[-1:])
    assert words.startswith("validation accuracy 22.00 %")
    assert list(last_words(plan, [])) == []


def test_a_wide_table_of_results_is_no_wider_than_its_terminal() -> None:
    plan = replace(planned(GNDGL(), depth=16, groups=1, network="resnet32"), method="gn-dgl")
    rows = tuple(float(k) for k in range(16))
    found = asdict(replace(result(drawn(GNDGL(), 2, 1)), rows=rows))
    lines = printed(Group(results_table(plan, [found])), 80)
    assert max(map(len, lines)) <= 80
    shown = [
        field for line in lines if line.startswith("    2  test") for field in line.split()[2:]
    ]
    assert shown == [*(f"{k}.00" for k in range(16)), "44.00", "55.00", "1.5000"]
