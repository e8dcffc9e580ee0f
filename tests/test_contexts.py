"""What a module of ContSup reads: from which rows, in which shapes, and through which encoders.

The numbers in brackets are sections of the methods' specification; i_k is what row k reads, i_0 the
image. The encoders' cost is in test_paper_tables.
"""

from contextlib import nullcontext
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from comm.address import Address
from comm.errors import BadInput
from comm.route import Kind
from partition.build import build
from partition.contexts import Contexts, ContextSpec, context_specs
from partition.drawing import draw
from partition.plan import Plan
from partition.routes import route_problems
from partition.spans import Span
from tests.grids import IMAGE, planned
from workers.methods.contsup import ContSup

# The table of (6), spelled out for four rows: what rows 1, 2 and 3 hear beside the features.
# "image" is the image through its deep encoder, a number the input of that row (0: the image).
TABLE: dict[str, tuple[list[str], list[str], list[str]]] = {
    "R0": ([], [], []),
    "E": (["image"], ["image"], ["image"]),
    "R1": (["0"], ["1"], ["2"]),
    "R1E": (["image"], ["image", "1"], ["image", "2"]),
    "R2": (["0"], ["1", "0"], ["2", "1"]),
    "R4": (["0"], ["1", "0"], ["2", "1", "0"]),
    "R2E": (["image"], ["image", "1"], ["image", "2", "1"]),
}
# What the rows of a resnet8 read, cut behind every block.
READS = [IMAGE, (16, 16, 16), (16, 16, 16), (32, 8, 8)]


def plan_of(
    mode: str, groups: int | tuple[int, ...] = 1, *, depth: int = 4, window: int = 2
) -> Plan:
    return planned(ContSup(mode=mode, loss="softmax"), depth=depth, groups=groups, window=window)


def told(specs: tuple[ContextSpec, ...]) -> list[str]:
    return ["image" if spec.deep else str(spec.source) for spec in specs]


# ── who hears what ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("groups", [1, 2, (2, 4, 1, 2)], ids=str)
@pytest.mark.parametrize("mode", TABLE)
def test_contexts_are_those_of_the_table(mode: str, groups: int | tuple[int, ...]) -> None:
    plan = plan_of(mode, groups)
    for module in plan.modules:
        k = module.address.k
        expected = TABLE[mode][k - 1] if k else []
        assert told(module.contexts) == expected
        for spec in module.contexts:
            assert spec.shape == READS[spec.source]
            assert spec.source == 0 or not spec.deep, "only the image is encoded deeply"


@pytest.mark.parametrize("mode", TABLE)
def test_images_are_computed_where_they_are_needed_only(mode: str) -> None:
    plan = plan_of(mode, 2)
    for module in plan.modules:
        k = module.address.k
        heard = TABLE[mode][k - 1] if k else ["0"]
        assert module.hears_image == ("image" in heard or "0" in heard)
    method = ContSup(mode="R0", loss="softmax", reconstruct=True, lambdas=(1, 1, 1, 1))
    for module in planned(method, depth=4, groups=1).modules:  # the last one has no decoder
        assert (module.hears_image or module.decodes) == (module.address.k < 3)


@pytest.mark.parametrize("groups", [(1, 1, 1, 1), (2, 2, 2, 2), (2, 4, 1, 2)], ids=str)
@pytest.mark.parametrize("mode", TABLE)
def test_inputs_travel_from_their_owners_to_who_hears_them(
    mode: str, groups: tuple[int, ...]
) -> None:
    """Every group of a row hands its own channels on; over s rows s times the window is under way.

    The image never travels.
    """
    plan = plan_of(mode, groups, window=3)
    expected = {
        (Address(source, a), Address(k, b)): 3 * (k - source)
        for k in (1, 2, 3)
        for source in (int(name) for name in TABLE[mode][k - 1] if name not in ("image", "0"))
        for a, b in product(range(groups[source]), range(groups[k]))
    }
    routes = [route for route in plan.routes if route.kind is Kind.CONTEXT]
    assert {(route.source, route.target): route.window for route in routes} == expected
    assert len(routes) == len(expected)
    for route in routes:
        channels, height, width = READS[route.source.k]
        (heard,) = route.learning
        assert route.learning == route.voting, "inference takes the same path"
        assert heard.shape == (channels // groups[route.source.k], height, width)
        assert heard.dtype == "float64"
    assert not route_problems(plan.grid, plan.routes)


def test_a_plan_with_contexts_survives_being_written() -> None:
    plan = plan_of("R2E", (2, 4, 1, 2))
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.digest != plan_of("R2", (2, 4, 1, 2)).digest


@given(
    row=st.integers(0, 9),
    memory=st.integers(0, 9),
    image=st.booleans(),
)
def test_memory_goes_back_as_far_as_it_says(row: int, memory: int, image: bool) -> None:
    """c_{j,r} = i_{j-r}: the nearest first; the image is memory only without its own encoder."""
    specs = context_specs(row, [(1, 1, 1)] * 10, memory=memory, image=image)
    back = [row - r for r in range(1, memory + 1) if row - r >= (1 if image else 0)]
    assert [spec.source for spec in specs if not spec.deep] == (back if row else [])
    assert [spec.source for spec in specs if spec.deep] == ([0] if image and row else [])
    assert [spec.name for spec in specs] == ["image"] * (image and row > 0) + [
        f"k{source}" for source in (back if row else [])
    ]


# ── which modes there are ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("mode", "memory", "image"),
    [("R0", 0, False), ("E", 0, True), ("R1", 1, False), ("R1E", 1, True), ("R16", 16, False)],
)
def test_modes_mean_what_they_say(mode: str, memory: int, image: bool) -> None:
    method = ContSup(mode=mode)
    assert method.contexts == (memory, image)
    assert (method.wiring().memory, method.wiring().image) == (memory, image)


@pytest.mark.parametrize("mode", ["", "R", "E1", "1E", "ER1", "r1", "R-1", "R1EE", "R1 E"])
def test_other_modes_are_none(mode: str) -> None:
    assert ContSup(mode=mode).contexts is None


@pytest.mark.parametrize(
    ("mode", "depths"),
    [
        ("E", [2, 4, 8, 16]),
        ("R1E", [2, 4, 8, 16]),
        ("R2", [2, 4, 8, 16]),
        ("R4", [4, 8, 16]),
        ("R8", [8, 16]),
        ("R16", [16]),
    ],
)
def test_long_memories_need_deep_grids(mode: str, depths: list[int]) -> None:
    """The published combinations (6); R2 at depth 2 is R1 there, and is not refused."""
    method = ContSup(mode=mode, loss="softmax")
    for depth in (2, 4, 8, 16):
        allowed = nullcontext()
        if depth not in depths:
            allowed = pytest.raises(BadInput, match=f"--depth {depth} is not deep enough")
        with allowed:
            planned(method, depth=depth, groups=1, network="resnet32", cuts=("paper",))


# ── the encoders ─────────────────────────────────────────────────────────────────────────────


def theirs(spec: ContextSpec, channels: int, size: tuple[int, int]) -> nn.Module:
    """Enc and ResEnc as the specification lists them: biases, at the source's size, then pooled."""
    c = spec.shape[0]
    pool = nn.AdaptiveAvgPool2d(size)
    if not spec.deep:
        one = [nn.Conv2d(c, channels, 1), nn.BatchNorm2d(channels), nn.ReLU()]
        return nn.Sequential(*one, pool).double()
    first = [nn.Conv2d(c, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU()]
    second = [nn.Conv2d(12, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*first, *second, pool).double()


def random(*shape: int, seed: int) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(3, *shape, generator=source, dtype=torch.float64)


@pytest.mark.parametrize("writes", [Span.whole(6), Span.of(6, 1, 3)], ids=str)
def test_contexts_are_the_plain_sum_of_their_encoders(writes: Span) -> None:
    specs = (
        ContextSpec(source=0, deep=True, shape=(3, 12, 10)),
        ContextSpec(source=2, deep=False, shape=(5, 6, 5)),
        ContextSpec(source=1, deep=False, shape=(4, 12, 10)),
    )
    mine = Contexts(specs, writes, (6, 5))
    draw(mine, 3, "test")
    mine = mine.double()
    encoders = [theirs(spec, writes.size, (6, 5)) for spec in specs]
    for spec, encoder in zip(specs, encoders, strict=True):
        values = [v for name, v in mine.state_dict().items() if name.startswith(f"{spec.name}.")]
        assert [v.shape for v in values] == [v.shape for v in encoder.state_dict().values()]
        encoder.load_state_dict(dict(zip(encoder.state_dict(), values, strict=True)))
    for training in (True, False):
        mine.train(training)
        sources = [random(*spec.shape, seed=i) for i, spec in enumerate(specs)]
        expected = torch.zeros(3, writes.size, 6, 5, dtype=torch.float64)
        for encoder, source in zip(encoders, sources, strict=True):
            expected = expected + encoder.train(training)(source)
        torch.testing.assert_close(mine(*sources), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["R1", "E", "R2E"])
def test_a_group_supplements_its_own_channels(mode: str) -> None:
    """What it reads of the others' slices is as the row before wrote it; it hands on its own."""
    plan = plan_of(mode, 2)
    h = random(32, 8, 8, seed=9)
    for g in range(2):
        module = build(plan, Address(3, g), seed=7, device="cpu").eval()
        sources = [random(*spec.shape, seed=i) for i, spec in enumerate(module.plan.contexts)]
        assert module.contexts is not None
        i = module.supplemented(h, sources)
        own = module.plan.reads_own
        assert own == Span.of(32, g, 2)
        other = Span.of(32, 1 - g, 2)
        assert torch.equal(i[:, other.slice], h[:, other.slice]), "the others' channels are theirs"
        assert torch.equal(i[:, own.slice], h[:, own.slice] + module.contexts(*sources))
        assert torch.equal(module.owned(i), i[:, own.slice])
        assert not torch.equal(i[:, own.slice], h[:, own.slice])


def test_without_contexts_nothing_changes() -> None:
    module = build(plan_of("R0"), Address(2, 0), seed=7, device="cpu")
    h = random(16, 16, 16, seed=0)
    assert module.contexts is None and torch.equal(module.supplemented(h, ()), h)


@pytest.mark.parametrize("groups", [1, 2])
def test_encoders_belong_to_the_receiver(groups: int) -> None:
    """They have a gradient from its loss, and are among what it saves."""
    plan = plan_of("R1E", groups)
    module = build(plan, Address(2, 0), seed=7, device="cpu")
    contexts = [random(*spec.shape, seed=i) for i, spec in enumerate(module.plan.contexts)]
    module.trunk(module.supplemented(random(16, 16, 16, seed=5), contexts)).sum().backward()
    assert module.contexts is not None
    assert all(p.grad is not None for p in module.contexts.parameters())
    counted = sum(p.numel() for p in module.parameters())
    assert module.plan.parameters == counted


# ── what it costs ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("mode", [mode for mode in TABLE if mode != "R0"])
def test_contexts_are_paid_for_in_training_and_at_inference(mode: str, groups: int) -> None:
    plan, plain = plan_of(mode, groups), plan_of("R0", groups)
    contexts = sum(module.context_macs for module in plan.modules)
    assert contexts > 0 and all(module.context_macs == 0 for module in plain.modules)
    assert plan.whole_macs == plain.whole_macs
    assert plan.inference_macs == plain.inference_macs + contexts
    for mine, theirs in zip(plan.modules, plain.modules, strict=True):
        assert mine.macs == theirs.macs + mine.context_macs
        assert (mine.context_macs > 0) == bool(mine.contexts)
    macs = [plan.rank_macs(rank) for rank in range(plan.grid.processes)]
    assert plan.training_speedup == plan.whole_macs / max(macs)


def test_one_encoder_by_hand() -> None:
    """conv3x3 3→12, conv3x3 12→16 on 16x16 pixels, both with bias, BN, ReLU; then pooled."""
    pixels = 16 * 16
    deep = pixels * (12 * (27 + 1 + 2 + 1) + 16 * (108 + 1 + 2 + 1) + 16)
    shallow = pixels * (16 * (16 + 1 + 2 + 1) + 16)
    modules = plan_of("R1E").modules
    assert modules[1].context_macs == deep
    assert modules[2].context_macs == deep + shallow
