"""What blocks cost in time: what is measured is what a module of the grid computes."""

from collections import defaultdict
from itertools import combinations
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from comm.address import Address
from partition.costs import BlockCost, quickest, row_seconds, rows_that_end
from partition.decoder import Decoder
from partition.heads import build_head
from partition.heads.spec import HeadSpec
from partition.networks import NETWORKS, Widths
from partition.networks.block import Block, Network, Style
from partition.networks.resnet import resnet
from partition.plan import Plan
from tests.grids import IMAGE, job_of, lockstep, planned
from workers.cost import measure
from workers.methods import METHODS
from workers.methods.dgl import DGL
from workers.methods.dtp import DTP
from workers.methods.infopro import InfoPro
from workers.methods.method import Method

FEW = {"iterations": (1, 1, 1), "noise": (0.1,) * 3, "feedback_lr": (0.1,) * 3}
LENET: dict[str, Any] = {"network": "lenet", "widths": (4, 6, 8)}


def single(method: Method, depth: int = 4, **more: Any) -> Plan:
    return planned(method, depth=depth, groups=1, cuts=("single",), **more)


def costs_of(plan: Plan, method: Method, depth: int, repetitions: int = 1) -> list[BlockCost]:
    cpu = torch.device("cpu")
    return measure(plan, method, depth=depth, seed=0, device=cpu, repetitions=repetitions)


# ── who takes a gradient for what it reads ───────────────────────────────────────────────────


class Asked(nn.Module):
    """Notes whether a gradient is taken for what it reads."""

    def __init__(self, name: str, width: int, notes: dict[str, set[bool]]) -> None:
        super().__init__()
        self.name, self.notes = name, notes
        self.conv = nn.Conv2d(IMAGE[0], width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            self.notes[self.name].add(x.requires_grad)
        return self.conv(x)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[bool]]:
    """What the blocks of the network "asked" have noted, by their names; three in a chain."""
    found: dict[str, set[bool]] = defaultdict(set)

    def block(name: str) -> Block:
        return Block(name=name, width=3, build=lambda _: Asked(name, 3, found))

    net = Network(name="asked", blocks=tuple(map(block, "abc")), base=16)
    monkeypatch.setitem(NETWORKS, "asked", ((3, 3, 3), "one each", lambda *_: net))
    return found


@pytest.mark.parametrize("cut", ["a", "b"])
def test_a_block_is_measured_as_the_modules_run_it(notes: dict[str, set[bool]], cut: str) -> None:
    """Where a row begins nothing is inward, in row 0 and in every later one."""
    method = DGL()
    costs_of(single(method, 3, network="asked"), method, depth=2)
    measured = {name: set(asked) for name, asked in notes.items()}
    assert measured == {"a": {False}, "b": {False, True}, "c": {False, True}}
    notes.clear()
    lockstep(job_of(planned(method, depth=2, groups=1, network="asked", cuts=(cut,)), method))
    following = "bc"["ab".index(cut)]
    assert notes == {name: {name not in ("a", following)} for name in "abc"}


def test_layers_that_each_have_a_graph_cost_the_same_everywhere() -> None:
    costs = costs_of(single(DTP(**FEW), **LENET), DTP(**FEW), depth=2)
    assert all(cost.first == cost.inside > 0 for cost in costs)
    inside = costs_of(single(DGL(), network="resnet8"), DGL(), depth=2)
    assert all(cost.first != cost.inside for cost in inside[1:])


def small7(name: str, widths: Widths, shape: tuple[int, int, int], style: Style, _: int) -> Network:
    """A ResNet of two blocks per stage."""
    return resnet(name, 2, (4, 4, 4, 4), shape[0], style)


# ── heads ────────────────────────────────────────────────────────────────────────────────────


@given(blocks=st.integers(1, 8), data=st.data())
def test_the_rows_that_a_block_may_end_are_those_of_all_cuts(
    blocks: int, data: st.DataObject
) -> None:
    depth = data.draw(st.integers(1, blocks))
    ends: dict[int, set[int]] = {stop: set() for stop in range(1, blocks + 1)}
    for cut in combinations(range(1, blocks), depth - 1):
        for k, stop in enumerate((*cut, blocks)):
            ends[stop].add(k)
    found = {stop: {*rows_that_end(stop, blocks=blocks, depth=depth)} for stop in ends}
    assert found == ends


@pytest.mark.parametrize(
    "method",
    [DGL(head="layers", layers=4, pyramid=True), DGL(head="layers", layers=4, tail="head")],
    ids=["pyramid", "read-out"],
)
def test_the_heads_that_are_measured_are_those_of_all_cuts(
    method: DGL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pyramid's nets depend on how many rows there are: of 3 rows, not of one for each block."""
    monkeypatch.setitem(NETWORKS, "small7", ((4,) * 4, "four", small7))
    measured: set[HeadSpec] = set()
    plan = single(method, 7, network="small7")

    def noted(spec: HeadSpec) -> nn.Module:
        measured.add(spec)
        return build_head(spec)

    monkeypatch.setattr("workers.cost.build_head", noted)
    costs = costs_of(plan, method, depth=3)
    real: set[HeadSpec] = set()
    names = [cost.name for cost in costs]
    for cut in combinations(names[:-1], 2):
        modules = planned(method, depth=3, groups=1, network="small7", cuts=cut).modules
        real |= {module.head for module in modules}
    assert measured == real
    assert all(seconds > 0 for cost in costs for seconds in cost.heads.values())


@pytest.mark.parametrize("tail", ["fc", "head"])
def test_block_costs_are_measured_for_every_block(tail: Any) -> None:
    method = DGL(tail=tail)
    plan = single(method)
    costs = costs_of(plan, method, depth=2)
    assert [(cost.name,) for cost in costs] == [m.blocks for m in plan.modules if m.blocks]
    assert [[*cost.heads] for cost in costs] == [[0], [0], [0], [1]]
    for cost in costs:
        assert cost.first > 0 and cost.inside > 0 and all(cost.heads.values())


def measurable() -> list[str]:
    """The methods that are cut, and whose costs do not depend on the cut in other ways."""
    wirings = {name: kind().wiring() for name, kind in METHODS.items()}
    return [n for n, w in wirings.items() if w.local and not w.memory and not w.image]


@pytest.mark.parametrize("name", measurable())
def test_every_method_that_can_be_cut_by_time_is_measured(name: str) -> None:
    method = METHODS[name]()
    if method.wiring().feedback:
        method = METHODS[name](**FEW)
    plan = single(method, **(LENET if method.wiring().feedback else {}))
    costs = costs_of(plan, method, depth=4)
    assert len(costs) == 4 and all(cost.first > 0 for cost in costs)
    for k, cost in enumerate(costs):
        headless = plan[Address(k, 0)].head.kind == "none"
        assert (cost.heads[k] == 0) == headless and len(cost.heads) == 1


def test_a_decoder_is_part_of_what_stands_behind_a_block() -> None:
    timed: set[Decoder] = set()

    def note(module: nn.Module, *_: object) -> None:
        if isinstance(module, Decoder):
            timed.add(module)

    method = InfoPro(loss="softmax")
    plan = single(method)
    with register_module_forward_hook(note):
        costs_of(plan, method, depth=4)
    assert len(timed) == 3  # the last row has none


def test_feedback_training_is_measured_with_all_its_iterations() -> None:
    """A step with a hundred times the iterations takes many times as long, where there are any."""
    found: list[list[float]] = []
    for iterations in ((1, 1, 1), (100, 100, 100)):
        method = DTP(**{**FEW, "iterations": iterations})
        costs = costs_of(single(method, **LENET), method, depth=4, repetitions=3)
        found.append([cost.first for cost in costs])
    few, many = found
    assert all(b > 10 * a for a, b in zip(few[1:], many[1:], strict=True))
    assert many[0] < 10 * few[0]


# ── the cut ──────────────────────────────────────────────────────────────────────────────────


def cost(name: str, first: float, inside: float, **heads: float) -> BlockCost:
    behind = {int(k[1:]): seconds for k, seconds in heads.items()}
    return BlockCost(name=name, first=first, inside=inside, heads=behind)


def test_a_row_takes_its_first_block_the_others_and_its_own_head() -> None:
    costs = [cost("a", 1, 9, k0=100), cost("b", 2, 20, k0=200, k1=300), cost("c", 3, 30, k2=400)]
    assert row_seconds(costs, 0, 0, 1) == 101
    assert row_seconds(costs, 0, 0, 2) == 1 + 20 + 200
    assert row_seconds(costs, 1, 1, 2) == 2 + 300
    assert row_seconds(costs, 2, 0, 3, 2) == (1 + 20 + 30 + 400) / 2
    with pytest.raises(KeyError):
        row_seconds(costs, 1, 2, 3)  # row 1 of three can not have the last block


def test_the_quickest_cut_is_of_seconds_and_shares() -> None:
    def costs(depth: int, seconds: list[float]) -> list[BlockCost]:
        return [
            BlockCost(
                name=str(i),
                first=s,
                inside=s,
                heads=dict.fromkeys(rows_that_end(i + 1, blocks=len(seconds), depth=depth), 0.0),
            )
            for i, s in enumerate(seconds)
        ]

    same = costs(3, [1.0, 8, 3, 2, 2])
    assert quickest(same, (1, 1, 1)) == (1, 2)
    assert quickest(same, (2, 1, 1)) == (2, 3)
    assert row_seconds(same, 0, 0, 2, 2) == 4.5


def test_the_cut_sees_that_a_row_begins_cheaper() -> None:
    """Block b is dear only behind another one: so a row begins with it."""
    costs = [cost("a", 4, 4, k0=0), cost("b", 1, 9, k0=0, k1=0), cost("c", 4, 4, k1=0)]
    assert quickest(costs, (1, 1)) == (1,)
