"""Plans: every block once, every route where it belongs, the same bytes for the same plan."""

from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comm.address import Address, Grid
from comm.errors import BadInput
from comm.route import Kind
from partition.config import GridConfig
from partition.data_spec import DataSpec
from partition.networks import NETWORKS, SMALLEST
from partition.papers import BALANCED, CUTS, depth_of_boundaries, depth_of_key, depth_of_total
from partition.plan import Plan
from partition.planner import plan
from partition.request import Request
from partition.routes import route_problems
from tests.grids import IMAGE, job_of, lockstep, planned
from workers.methods.backprop import Backprop
from workers.methods.dgl import DGL
from workers.methods.gn_dgl import GNDGL


@settings(max_examples=25, deadline=None)
@given(
    depth=st.integers(1, 4),
    groups=st.lists(st.sampled_from([1, 2, 4]), min_size=4, max_size=4),
    cuts=st.sampled_from(["even", "macs"]),
    share=st.sampled_from(["none", "maps", "pooled"]),
    tail=st.sampled_from(["head", "fc"]),
    diversity=st.sampled_from([0.0, 0.5]),
)
def test_a_plan_holds_together(
    depth: int, groups: list[int], cuts: str, share: str, tail: str, diversity: float
) -> None:
    method = GNDGL(share=share, tail=tail, diversity=diversity)  # type: ignore[arg-type]
    rows = tuple(groups[:depth])
    plan = planned(method, depth=depth, groups=rows, cuts=(cuts,))
    for g in range(max(rows)):
        column = [m for m in plan.modules if m.address.g == g and m.blocks]
        if all(size > g for size in rows):
            assert list(chain.from_iterable(m.blocks for m in column)) == [
                "stem", "s1b0", "s2b0", "s3b0",
            ]  # fmt: skip
    assert not route_problems(plan.grid, plan.routes)
    ahead = {(r.source, r.target) for r in plan.routes if r.kind is Kind.AHEAD}
    assert ahead == {
        (a, b)
        for row, following in zip(plan.grid.rows, plan.grid.rows[1:], strict=False)
        for a in row
        for b in following
    }
    for module in plan.modules:
        heard = [r for r in plan.routes if r.kind is Kind.AHEAD and r.target == module.address]
        if heard:
            assert sum(r.learning[0].shape[0] for r in heard) == module.reads[0]
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.digest == plan.digest


@given(groups=st.lists(st.integers(1, 9), min_size=1, max_size=6), readout=st.booleans())
def test_ranks_and_addresses_are_two_names_for_one_place(groups: list[int], readout: bool) -> None:
    grid = Grid(groups=tuple(groups), readout=readout)
    hosted = [grid.hosted(rank) for rank in range(grid.processes)]
    assert sorted(chain.from_iterable(hosted)) == sorted(grid)
    assert all(hosted)
    for address in grid:
        assert Address.parse(str(address)) == address
        assert address in hosted[grid.rank(address)]


def test_ragged_grids_and_unequal_groups_learn() -> None:
    for network, groups in (("resnet8", (1, 4, 2, 1)), ("mlp", (3, 2, 5))):
        plan = planned(GNDGL(pool=4), depth=len(groups), groups=groups, network=network)
        workers, notebooks = lockstep(job_of(plan, GNDGL(pool=4), steps=4, evaluate=True))
        assert len(workers) == sum(groups) + 1
        assert all(len(notebooks[address].lessons) == 4 for address in workers)
        assert len(notebooks[Address(len(groups), 0)].results) == 2


def test_the_cut_by_macs_is_the_best_of_all_cuts() -> None:
    method = DGL()
    best = planned(method, depth=2, groups=1, network="resnet20", cuts=("macs",))
    blocks = list(chain.from_iterable(m.blocks for m in best.modules))
    others = [
        planned(method, depth=2, groups=1, network="resnet20", cuts=(last,)) for last in blocks[:-1]
    ]
    slowest = [max(m.macs for m in plan.modules) for plan in others]
    assert max(m.macs for m in best.modules) == min(slowest)


@pytest.mark.parametrize("depth", [2, 3, 4, 8, 16])
def test_the_published_cuts_are_drawn_as_published(depth: int) -> None:
    plan = planned(DGL(), depth=depth, groups=1, network="resnet32", cuts=("paper",))
    lasts = [module.blocks[-1] for module in plan.modules[:-1]]
    assert lasts == CUTS["resnet32"][depth].split()


@pytest.mark.parametrize(("network", "dataset"), BALANCED)
def test_cuts_balanced_by_memory_are_drawn_as_published(network: str, dataset: str) -> None:
    published = BALANCED[network, dataset]
    for depth, lasts in published.items():
        rows = balanced(network, dataset, depth).modules
        assert [module.blocks[-1] for module in rows[:-1]] == lasts.split()
    with pytest.raises(BadInput) as told:
        balanced(network, dataset, 5)
    (problem,) = told.value.problems
    depths = ", ".join(map(str, published))
    assert f"no paper cuts {network} on {dataset} at depth 5 (published: {depths})" in problem


def balanced(network: str, dataset: str, depth: int) -> Plan:
    return plan(
        Request(
            method="dgl",
            wiring=DGL().wiring(),
            config=GridConfig(network=network, depth=depth, cuts=("balanced",)),
            data=DataSpec(name=dataset, shape=IMAGE, classes=10, train=9, test=9, digest=""),
            batch=4,
            eval_batch=4,
        )
    )


def test_k_means_the_number_of_trunk_modules_in_every_table() -> None:
    assert [depth_of_key(key) for key in ("1", "1A", "4", "16")] == [1, 1, 4, 16]
    assert depth_of_boundaries(3) == 4
    assert depth_of_total(8, 2) == 4
    with pytest.raises(ValueError, match="not a multiple"):
        depth_of_total(7, 2)


def test_all_problems_of_a_grid_are_told_at_once() -> None:
    with pytest.raises(BadInput) as told:
        planned(GNDGL(pool=0), depth=9, groups=3, window=0)
    text = "\n".join(told.value.problems)
    for part in ("--depth 9", "--groups 3", "--window 0", "--pool 0"):
        assert part in text
    with pytest.raises(BadInput, match="did you mean resnet32"):
        planned(DGL(), depth=1, groups=1, network="resnet23")
    with pytest.raises(BadInput) as told:
        planned(DGL(), depth=0, groups=1, network="resnet23")
    assert len(told.value.problems) == 2
    with pytest.raises(BadInput, match="no paper cuts resnet8 at depth 2"):
        planned(DGL(), depth=2, groups=1, cuts=("paper",))
    with pytest.raises(BadInput, match="has no block 's1b7'"):
        planned(DGL(), depth=2, groups=1, cuts=("s1b7",))
    with pytest.raises(BadInput, match="not the last one"):
        planned(DGL(), depth=2, groups=1, cuts=("s3b0",))
    with pytest.raises(BadInput, match="one number for all rows, or 2"):
        planned(DGL(), depth=2, groups=(1, 1, 1))
    with pytest.raises(BadInput, match="in one module"):
        planned(Backprop(), depth=2, groups=1)


def test_a_network_refuses_images_that_are_too_small() -> None:
    with pytest.raises(BadInput, match="images of 16×16 are smaller than 32"):
        planned(DGL(), depth=2, groups=1, network="simple_vgg")


@pytest.mark.parametrize("name", [name for name in NETWORKS if SMALLEST.get(name, 1) <= 16])
def test_every_network_can_be_planned_and_names_its_blocks_once(name: str) -> None:
    plan = planned(DGL(), depth=2, groups=1, network=name)
    names = list(chain.from_iterable(module.blocks for module in plan.modules))
    assert len(names) == len(set(names))
