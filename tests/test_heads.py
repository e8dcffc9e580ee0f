"""Every auxiliary net against one of plain torch layers, written from the papers' lists of layers.

The numbers in brackets are sections of the methods' specification. The nets of
tests/reference_heads.py take over the weights in order, and must then compute the same.
"""

import math
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from partition.drawing import draw
from partition.head_specs import hidden_units
from partition.heads import BUILDERS, build_head
from partition.heads.layers import chosen_layers, pyramid_depth, strides
from partition.heads.predsim import pooling
from partition.heads.spec import HeadSpec
from partition.sharing import window
from partition.spans import Span
from partition.wiring import HeadKind
from tests.grids import job_of, lockstep, planned, states
from tests.reference_heads import auxiliary
from workers.methods.dgl import DGL
from workers.methods.gn_dgl import GNDGL
from workers.methods.method import Method

CONV_FC: tuple[HeadKind, ...] = ("0c1f", "0c2f", "1c1f", "1c2f", "1c3f", "2c2f")
MLP: tuple[HeadKind, ...] = ("mlp", "mlp-sr", "cnn", "mlp2")
PREDSIM: tuple[HeadKind, ...] = ("pred", "sim", "predsim")
COPIES = ((6, 1), (12, 2), (12, 1))
MAPS, FLAT, CLASSES = (6, 9, 8), (10,), 5


def spec_of(kind: HeadKind, shape: tuple[int, ...] = MAPS, **more: Any) -> HeadSpec:
    spec = HeadSpec(
        kind=kind,
        shape=shape,
        hidden=7,
        writes=CLASSES,
        votes=True,
        gathers=False,
        own=Span.whole(shape[0]),
        copies=COPIES if kind == "layers" else (),
    )
    return replace(spec, **more)


# ── the same in torch ────────────────────────────────────────────────────────────────────────


def reference(spec: HeadSpec) -> nn.Module:
    """The same head, from tests/reference_heads.py."""
    return auxiliary(
        spec.kind,
        spec.shape,
        hidden=spec.hidden,
        out=spec.writes,
        keeps=spec.keeps,
        copies=spec.copies,
    ).double()


def built(spec: HeadSpec, seed: int = 0) -> nn.Module:
    head = build_head(spec)
    draw(head, seed, "test")
    return head.double()


def take_over(theirs: nn.Module, mine: nn.Module) -> None:
    """The weights and statistics of `mine` for `theirs`, in order: their shapes must agree."""
    sources, targets = mine.state_dict(), theirs.state_dict()
    assert [v.shape for v in sources.values()] == [v.shape for v in targets.values()]
    theirs.load_state_dict(dict(zip(targets, sources.values(), strict=True)))


def same_numbers(spec: HeadSpec, batch: int = 4) -> None:
    """Both nets, with the same weights, in training and in evaluation."""
    mine, theirs = built(spec), reference(spec)
    parameters = [p.shape for p in mine.parameters()]
    assert parameters == [p.shape for p in theirs.parameters()]
    take_over(theirs, mine)
    source = torch.Generator().manual_seed(1)
    x = torch.randn(batch, *spec.shape, generator=source, dtype=torch.float64)
    for mode in (True, True, False):  # the statistics move before they are used
        mine.train(mode)
        theirs.train(mode)
        expected = theirs(x.clone())
        assert expected.shape == (batch, spec.writes)
        torch.testing.assert_close(mine(x.clone()), expected, rtol=1e-12, atol=1e-12)


# ── heads that write one thing ───────────────────────────────────────────────────────────────


def test_every_published_kind_is_known_here() -> None:
    assert {*CONV_FC, *MLP, *PREDSIM, "layers", "none"} <= set(BUILDERS)


@pytest.mark.parametrize("shape", [MAPS, FLAT], ids=["maps", "flat"])
@pytest.mark.parametrize("kind", [*CONV_FC, *MLP])
def test_a_head_is_what_its_paper_says(kind: HeadKind, shape: tuple[int, ...]) -> None:
    same_numbers(spec_of(kind, shape))


@pytest.mark.parametrize("kind", [kind for kind in CONV_FC if kind[0] != "0"])
def test_convolutions_of_the_last_stage_keep_the_map(kind: HeadKind) -> None:
    """InfoPro's 64→64 with stride 1 (5)."""
    same_numbers(spec_of(kind, keeps=True))
    layers = [layer for layer in built(spec_of(kind, keeps=True)).modules()]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert {(c.in_channels, c.out_channels, c.stride) for c in convolutions} == {(6, 6, (1, 1))}


@pytest.mark.parametrize("copies", [COPIES, ((12, 2),), ((6, 1),), ()], ids=str)
def test_copied_layers_are_basic_blocks(copies: tuple[tuple[int, int], ...]) -> None:
    same_numbers(spec_of("layers", copies=copies))


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from([*CONV_FC, *MLP, "layers"]),
    channels=st.integers(1, 6),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    hidden=st.integers(1, 5),
    writes=st.integers(1, 6),
    keeps=st.booleans(),
)
def test_any_size_of_map_will_do(
    kind: HeadKind, channels: int, height: int, width: int, hidden: int, writes: int, keeps: bool
) -> None:
    spec = spec_of(kind, (channels, height, width), hidden=hidden, writes=writes, keeps=keeps)
    same_numbers(spec, batch=2)


def test_1c2f_has_the_published_parameters() -> None:
    """91,786: the read-out head of ResNet-32 (1.10)."""
    spec = spec_of("1c2f", (64, 8, 8), hidden=hidden_units(16), writes=10)
    assert sum(p.numel() for p in build_head(spec).parameters()) == 91_786


def test_the_hidden_layer_is_as_wide_as_the_network_and_its_groups_say() -> None:
    """F of (1.3), by hand: 128 for width 16; a part of it for a head that hears a part."""
    assert [hidden_units(base) for base in (16, 32)] == [128, 256]
    assert hidden_units(16, groups=4, ratio=1.0) == 128
    assert [hidden_units(16, groups=g, ratio=0) for g in (2, 4, 8)] == [64, 32, 16]
    assert hidden_units(32, groups=4, ratio=0) == 64
    assert hidden_units(16, groups=4, ratio=0.5) == 32 + 48
    assert hidden_units(16, groups=4, ratio=0.3) == 32 + 28  # int(28.8)
    assert hidden_units(32, groups=2, ratio=0.3) == 2 * (64 + 19)  # int(19.2), then w0 / 16


@pytest.mark.parametrize(
    ("method", "channels", "hidden"),
    [
        (GNDGL(share="none"), 8, 32),
        (GNDGL(share="maps"), 32, 128),
        (GNDGL(share="maps", share_ratio=0.5), 8 + 3 * 4, 32 + 48),
        (GNDGL(share="maps", share_ratio=0.3), 8 + 3 * 2, 32 + 28),
        (GNDGL(share="pooled"), 32, 128),
    ],
    ids=str,
)
def test_a_head_reads_what_is_shared(method: GNDGL, channels: int, hidden: int) -> None:
    plan = planned(method, depth=2, groups=4, cuts=("s2b0",))
    for module in plan.modules[:4]:
        assert (module.head.shape[0], module.head.hidden) == (channels, hidden)


# ── pred, sim, predsim ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("room", [4096, 64, 13])
@pytest.mark.parametrize("shape", [MAPS, FLAT, (4, 8, 8)], ids=str)
@pytest.mark.parametrize("kind", PREDSIM)
def test_predsim_predicts_and_compares(kind: HeadKind, shape: tuple[int, ...], room: int) -> None:
    """(3.2): a linear layer on pooled maps; a convolution, of flat features a linear layer."""
    spec = spec_of(kind, shape, room=room)
    c, maps = shape[0], len(shape) == 3
    kernel = pooling(shape, room) if maps else (1, 1)
    size = c * (shape[1] // kernel[0]) * (shape[2] // kernel[1]) if maps else c
    assert not maps or size <= room
    mine = built(spec)
    pred = nn.Linear(size, CLASSES) if kind != "sim" else None
    sim: nn.Module | None = None
    if kind != "pred":
        sim = nn.Conv2d(c, c, 3, 1, 1, bias=False) if maps else nn.Linear(c, c, bias=False)
    theirs = nn.ModuleList([layer for layer in (pred, sim) if layer is not None]).double()
    assert [p.shape for p in mine.parameters()] == [p.shape for p in theirs.parameters()]
    take_over(theirs, mine)
    source = torch.Generator().manual_seed(2)
    x = torch.randn(4, *shape, generator=source, dtype=torch.float64)
    logits, alike = mine(x)
    assert (logits is None, alike is None) == (pred is None, sim is None)
    if pred is not None:
        pooled = F.avg_pool2d(x, kernel) if maps else x
        torch.testing.assert_close(logits, pred(pooled.flatten(1)), rtol=1e-12, atol=1e-12)
    if sim is not None:
        torch.testing.assert_close(alike, sim(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "kernel", "reduced"),
    [
        ((128, 32, 32), (8, 4), (4, 8)),
        ((256, 16, 16), (4, 4), (4, 4)),
        ((512, 8, 8), (4, 2), (2, 4)),
        ((512, 4, 4), (2, 1), (2, 4)),
    ],
)
def test_pooling_of_vgg6a(
    shape: tuple[int, int, int], kernel: tuple[int, int], reduced: tuple[int, int]
) -> None:
    """The published windows (3.2): at 4096, and at 2048 the same maps halve once more."""
    assert pooling(shape, 4096) == kernel
    assert (shape[1] // kernel[0], shape[2] // kernel[1]) == reduced
    rows, columns = pooling(shape, 2048)
    assert (shape[1] // rows, shape[2] // columns) == {
        (128, 32): (4, 4), (256, 16): (2, 4), (512, 8): (2, 2), (512, 4): (2, 2),
    }[shape[:2]]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "shape"),  # blocks are copied for maps alone
    [(k, s) for k in (*CONV_FC, *MLP, "pred", "predsim") for s in (MAPS, FLAT)]
    + [("layers", MAPS)],
)
def test_what_writes_may_start_at_zero(kind: HeadKind, shape: tuple[int, ...]) -> None:
    x = torch.randn(3, *shape, dtype=torch.float64)

    def spread(zero: bool) -> float:
        """How much the logits of different images differ."""
        written = built(spec_of(kind, shape, zero=zero)).eval()(x)
        logits: Tensor = written[0] if isinstance(written, tuple) else written
        assert logits.abs().min() > 0, "biases start anywhere"
        return (logits - logits[:1]).abs().max().item()

    assert spread(True) == 0
    assert spread(False) > 1e-6


# ── AugLocal ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("layer", "depth", "chosen"),
    [
        (0, 1, [15]),
        (0, 2, [8, 15]),  # 7.5 goes to the even neighbour, as Python and NumPy round
        (2, 2, [8, 15]),  # 8.5 too
        (1, 2, [8, 15]),
        (0, 3, [5, 10, 15]),
        (0, 6, [2, 5, 8, 10, 12, 15]),  # 2.5, 5, 7.5, 10, 12.5, 15
        (4, 4, [7, 10, 12, 15]),  # 6.75, 9.5, 12.25, 15
        (12, 2, [14, 15]),  # 13.5
        (12, 3, [13, 14, 15]),
        (13, 6, [14, 15]),  # all that are left
        (14, 1, [15]),
    ],
)
def test_the_layers_of_resnet32_that_a_net_copies(
    layer: int, depth: int, chosen: list[int]
) -> None:
    """round(l + i (N - 1 - l) / d) for i = 1 … d with N = 16 layers (7), by hand."""
    assert chosen_layers(layer, 16, depth) == chosen


@given(layers=st.integers(2, 60), data=st.data())
def test_copies_are_of_layers_behind_and_end_with_the_last(
    layers: int, data: st.DataObject
) -> None:
    layer = data.draw(st.integers(0, layers - 2))
    depth = data.draw(st.integers(1, 12))
    chosen = chosen_layers(layer, layers, depth)
    assert len(chosen) == min(depth, layers - 1 - layer)
    assert chosen == sorted(set(chosen))
    assert chosen[0] > layer and chosen[-1] == layers - 1


def test_the_pyramid_of_resnet32() -> None:
    """d (1 - t) + t with t = l / 16, for d = 6 and K = 16 - 6 (7): 6, 5.69, 5.38, 5.06, 4.75 …"""
    assert [pyramid_depth(6, k, 10) for k in range(9)] == [6, 6, 5, 5, 5, 4, 4, 4, 4]
    assert [pyramid_depth(4, k, 12) for k in (0, 3, 4, 10)] == [4, 4, 3, 2]  # 3.55, 3.4, 2.5
    assert [pyramid_depth(1, k, 15) for k in (0, 7, 13)] == [1, 1, 1]
    assert pyramid_depth(5, 0, 2) == 5  # one auxiliary net: t is 0


def test_strides_follow_the_width() -> None:
    assert strides(16, [16, 32, 32, 64]) == ((16, 1), (32, 2), (32, 1), (64, 2))
    assert strides(32, [64]) == ((64, 2),)


@pytest.mark.parametrize("pyramid", [False, True], ids=["even", "pyramid"])
def test_nets_of_a_whole_resnet32(pyramid: bool) -> None:
    """One module per layer; the last one has the d + 1 layers that are left."""
    method = DGL(head="layers", layers=6, pyramid=pyramid)
    plan = planned(method, depth=10, groups=1, network="resnet32", cuts=("single",))
    rows = plan.modules
    assert [len(module.blocks) for module in rows] == [1] * 9 + [7]
    depths = [6, 6, 5, 5, 5, 4, 4, 4, 4] if pyramid else [6] * 9
    assert [len(module.head.copies) for module in rows[:-1]] == depths
    # 2, 5, 8, 10, 12, 15: two blocks of each stage
    assert rows[0].head.copies == ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1))
    # behind layer 8, of 32 channels: 9.75, 11.5, 13.25, 15, or 9.2 (9), 10.3, 11.5, 12.7, 13.8, 15
    last = ((32, 1), (64, 2), (64, 1), (64, 1))
    if not pyramid:
        last = ((32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1))
    assert rows[8].head.copies == last
    assert rows[-1].head.kind == "0c1f" and not rows[-1].head.copies


# ── in a grid ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "network"),  # an MLP has no blocks to copy: refused
    [*product((*CONV_FC, *MLP), ("resnet8", "mlp")), ("layers", "resnet8")],
)
def test_a_grid_learns_with_every_head(kind: HeadKind, network: str) -> None:
    method: Method = DGL(head=kind, layers=1)  # type: ignore[arg-type]
    widths = (9, 10) if network == "mlp" else (8, 8, 8, 16)
    plan = planned(method, depth=2, groups=1, network=network, widths=widths)
    assert [module.head.kind for module in plan.modules] == [kind, "0c1f"]
    fresh, _ = lockstep(job_of(plan, method, steps=0))
    workers, notebooks = lockstep(job_of(plan, method, steps=2, evaluate=True))
    before, after = states(fresh)["k0g0"], states(workers)["k0g0"]
    moved = [name for name in after if name.startswith("head.") and "num_batches" not in name]
    assert moved and all(not torch.equal(before[name], after[name]) for name in moved)
    lessons = [lesson for notebook in notebooks.values() for lesson in notebook.lessons]
    assert len(lessons) == 4
    assert all(math.isfinite(lesson["loss"]) for lesson in lessons)


# ── windows ──────────────────────────────────────────────────────────────────────────────────


def heard(channels: int, groups: int, ratio: float, reader: int) -> dict[int, list[int]]:
    """(1.5), as it is written: walk round the slices, from 0, one other group after the other."""
    found: dict[int, list[int]] = {}
    place = 0
    for other in range(groups):
        if other == reader:
            continue
        size = channels // groups + (other < channels % groups)
        found[other] = []
        for _ in range(int(ratio * size)):
            found[other].append(place % size)
            place = (place % size + 1) % size
    return found


shapes = st.tuples(st.integers(1, 9), st.integers(2, 8)).map(lambda s: (s[0] * s[1], s[1]))
ratios = st.one_of(st.floats(0.01, 1.0), st.sampled_from([0.25, 0.3, 0.4, 0.5, 0.75, 1.0]))


@given(shape=shapes, more=st.integers(0, 7), ratio=ratios, data=st.data())
def test_windows_are_those_of_the_definition(
    shape: tuple[int, int], more: int, ratio: float, data: st.DataObject
) -> None:
    channels, groups = shape[0] + more, shape[1]
    reader = data.draw(st.integers(0, groups - 1))
    expected = heard(channels, groups, ratio, reader)
    for source, seen in expected.items():
        got = window(channels, groups, ratio, reader=reader, source=source)
        size = Span.of(channels, source, groups).size
        assert len(got) == int(ratio * size)
        assert all(0 <= channel < size for channel in got)
        assert len(set(got)) == len(got), "a channel is heard once"
        assert got == seen


@given(shape=shapes, more=st.integers(0, 7), data=st.data())
def test_a_ratio_of_one_is_everything_in_order(
    shape: tuple[int, int], more: int, data: st.DataObject
) -> None:
    channels, groups = shape[0] + more, shape[1]
    reader, source = data.draw(
        st.tuples(st.integers(0, groups - 1), st.integers(0, groups - 1)).filter(
            lambda pair: pair[0] != pair[1]
        )
    )
    size = Span.of(channels, source, groups).size
    assert window(channels, groups, 1.0, reader=reader, source=source) == list(range(size))


@given(shape=shapes, ratio=ratios, data=st.data())
def test_windows_of_equal_groups_follow_each_other(
    shape: tuple[int, int], ratio: float, data: st.DataObject
) -> None:
    """One after the other round the slice: as long as there is room, no two overlap."""
    channels, groups = shape
    reader = data.draw(st.integers(0, groups - 1))
    size = channels // groups
    others = [h for h in range(groups) if h != reader]
    joined = [c for h in others for c in window(channels, groups, ratio, reader=reader, source=h)]
    assert joined == [i % size for i in range(len(joined))]
    if len(joined) <= size:
        assert len(set(joined)) == len(joined)


def test_nobody_hears_a_group_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="group 3 of 3"):
        window(6, 3, 0.5, reader=0, source=3)
