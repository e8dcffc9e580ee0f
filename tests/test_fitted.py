"""Tables fit what they are printed on: no digit is cut, however narrow the terminal is."""

import io
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from partition.plan import Plan
from runtime.fitted import Column, Fitted, Sentence, total
from runtime.table import plan_table, size
from tests.grids import planned
from workers.methods.contsup import ContSup
from workers.methods.dtp import DTP
from workers.methods.gn_dgl import GNDGL

PLANS = {
    "gn-dgl": planned(GNDGL(), depth=2, groups=2),
    "large": planned(GNDGL(), depth=4, groups=8, network="resnet32"),
    "contsup": planned(ContSup(mode="R1E", loss="softmax"), depth=3, groups=2),
    "dtp": planned(
        DTP(iterations=(3, 2, 4), noise=(0.4, 0.4, 0.1), feedback_lr=(1e-3, 1e-3, 1e-2)),
        **{"depth": 4, "groups": 1, "network": "lenet", "cuts": ("single",)},
        replicas=(1, 3, 2, 1),
    ),
}


def printed(what: RenderableType, width: int, *, terminal: bool = True) -> list[str]:
    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=terminal, color_system=None, soft_wrap=True
    )
    console.print(what)
    return file.getvalue().splitlines()


def cells(plan: Plan) -> Iterator[str]:
    """Whatever must be readable of every module."""
    for module in plan.modules:
        yield str(module.address)
        yield f"{module.parameters:,}"
        yield f"{module.macs / 1e3:,.1f}"
        yield from (size(sent) for sent in plan.sent_bytes(module.address).values())


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("name", PLANS)
def test_no_digit_of_a_plan_is_cut_and_no_line_is_too_long(name: str, width: int) -> None:
    plan = PLANS[name]
    lines = printed(plan_table(plan), width)
    assert max(map(len, lines)) <= width
    fields = [field for line in lines for field in line.split("  ")]
    stripped = {field.strip() for field in fields}
    assert not {*cells(plan)} - stripped
    assert all(len(line.split("…")) == 2 for line in lines if "…" in line), "stem … s2b1 alone"
    assert not any(field.endswith("…") for field in stripped)


def test_a_plan_that_has_room_has_a_line_for_each_module() -> None:
    plan = PLANS["gn-dgl"]
    assert sum(line.startswith("k0g1 ") for line in printed(plan_table(plan), 240)) == 1
    assert sum(line.startswith("k0g1 ") for line in printed(plan_table(plan), 80)) == 2


def test_groups_are_said_to_make_a_smaller_network_where_that_is_what_surprises() -> None:
    """Else four processes that are six times as fast look like an error."""
    plan = planned(GNDGL(), depth=2, groups=2, network="resnet20")
    text = " ".join(printed(plan_table(plan), 240))
    assert plan.training_speedup > 4
    assert f"make the network itself smaller, {plan.inference_macs / 1e3:,.1f} kMACs" in text
    assert f"instead of {plan.whole_macs / 1e3:,.1f}: so 4 processes may be more than 4×" in text
    for name in ("gn-dgl", "dtp"):
        assert PLANS[name].training_speedup < PLANS[name].grid.processes
        assert "smaller" not in " ".join(printed(plan_table(PLANS[name]), 240))


WORDS = st.text("abc ", min_size=1, max_size=20).map(str.strip)
NUMBERS = st.integers(0, 10**12).map("{:,}".format)
NAMES = st.lists(st.text("abcdef", min_size=1, max_size=9), min_size=1, max_size=3).map(" ".join)


@st.composite
def tables(draw: st.DrawFn) -> list[Column]:
    lines = draw(st.integers(1, 4))
    key = Column(name="module", cells=tuple(f"k{k}g0" for k in range(lines)), key=True)
    others = [
        Column(name=draw(NAMES), cells=tuple(draw(NUMBERS) for _ in range(lines)), number=True)
        for _ in range(draw(st.integers(1, 8)))
    ]
    return [key, *others]


@settings(deadline=None)
@given(tables(), st.integers(25, 120))
def test_every_cell_stands_whole_beside_its_key(columns: list[Column], width: int) -> None:
    lines = printed(Fitted(columns), width)
    assert max(map(len, lines)) <= width
    for index, name in enumerate(columns[0].cells):
        found = [f for line in lines if line.split()[:1] == [name] for f in line.split()[1:]]
        assert found == [column.cells[index] for column in columns[1:]], "once, in their order"
    parts = sum(line.startswith("k0g0") for line in lines)
    natural = total([column.natural for column in columns])
    assert parts == 1 or natural > width


def test_words_that_are_too_long_for_a_line_go_on_in_the_next() -> None:
    words = "waiting for a module that is far behind the others"
    columns = [
        Column(name="module", cells=("k0g0",), key=True),
        Column(name="now", cells=(words,)),
    ]
    lines = printed(Fitted(columns), 24)
    assert max(map(len, lines)) <= 24
    assert "".join("".join(lines[1:]).split()) == "k0g0" + words.replace(" ", "")


def test_a_sentence_breaks_between_words_in_a_terminal_and_nowhere_else() -> None:
    words = "one two three four five"
    assert printed(Sentence(words), 10) == ["one two ", "three four", "five"]
    assert printed(Sentence(words), 10, terminal=False) == [words]
