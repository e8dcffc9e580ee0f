"""Every weight is drawn from (seed, name), whoever made its layer; what can not be is refused."""

from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from comm.errors import BadInput
from partition.drawing import draw
from partition.heads import BUILDERS
from partition.heads.spec import HeadSpec
from partition.layers import Dense, generator
from partition.networks import NETWORKS
from partition.networks.block import Block, Network, Piece
from partition.plan import Plan
from partition.spans import Span
from tests.grids import job_of, lockstep, planned, states
from workers.methods.contsup import ContSup
from workers.methods.dgl import DGL
from workers.methods.dtp import DTP

States = dict[str, dict[str, Tensor]]


class Plain(nn.Module):
    """Layers of torch as anybody would write them down."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, width, 3, padding=1)
        self.bn = nn.BatchNorm2d(width)
        self.pixels = nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16))
        nn.init.zeros_(self.bn.weight)  # stays as it was constructed

    def forward(self, x: Tensor) -> Tensor:
        return self.pixels(self.bn(self.conv(x)).relu() + 1)


class Scaled(nn.Module):
    """Has a weight that nothing tells how to draw."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Sliced(nn.Module):
    """The last block: made of Loci's own layers."""

    def __init__(self, before: int, width: int, piece: Piece) -> None:
        super().__init__()
        own = Span.of(width, piece.group, piece.groups)
        self.linear = Dense(Span.whole(before), own)
        self.bn = nn.BatchNorm1d(own.size)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.linear(x.mean(dim=(2, 3))))


def plain(inner: Callable[[], nn.Module] = nn.Identity) -> Network:
    """Two blocks of torch's layers, `inner` in the second; one of Loci's."""
    return Network(
        name="plain",
        blocks=(
            Block(name="a", width=4, build=lambda _: Plain(3, 4)),
            Block(name="b", width=4, build=lambda _: nn.Sequential(Plain(4, 4), inner())),
            Block(name="c", width=6, build=lambda piece: Sliced(4, 6, piece)),
        ),
        base=16,
        even=False,
    )


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Callable[[Network], None]:
    """Gives a network its name, as one line in NETWORKS does."""

    def add(net: Network) -> None:
        widths = tuple(block.width for block in net.blocks)
        monkeypatch.setitem(NETWORKS, net.name, (widths, "one each", lambda *_: net))

    return add


def fresh(plan: Plan, noise: int = 0) -> States:
    """What a grid starts from, whatever torch's global source of random numbers gives."""
    torch.manual_seed(noise)
    return states(lockstep(job_of(plan, DGL(), steps=0))[0])


def test_ordinary_layers_are_drawn_from_the_seed_and_their_name(
    added: Callable[[Network], None],
) -> None:
    added(plain())
    plan = planned(DGL(), depth=1, groups=1, network="plain")
    first, second = fresh(plan, noise=1)["k0g0"], fresh(plan, noise=2)["k0g0"]
    assert all(torch.equal(first[name], second[name]) for name in first)
    weights = [first[f"trunk.{block}.conv.weight"] for block in ("a", "b.0")]
    assert weights[0].std() > 0.05 and not torch.equal(weights[0][:, :3], weights[1][:, :3])
    assert first["trunk.a.bn.weight"].abs().max() == 0, "a norm is left as it was constructed"
    rows = fresh(planned(DGL(), depth=3, groups=1, network="plain"))
    joined = rows["k0g0"] | rows["k1g0"] | rows["k2g0"]
    assert all(torch.equal(joined[n], t) for n, t in first.items() if n.startswith("trunk."))


def test_they_start_as_torch_starts_them() -> None:
    """torch's own initialisation, under a generator of (seed, name)."""
    layer, like = nn.Conv2d(3, 5, 3), nn.Conv2d(3, 5, 3)
    before = torch.get_rng_state()
    draw(layer, 4, "trunk.a")
    assert torch.equal(torch.get_rng_state(), before), "nobody else's numbers are taken"
    torch.manual_seed(0)
    torch.set_rng_state(generator(4, "trunk.a").get_state())
    like.reset_parameters()
    assert torch.equal(layer.weight, like.weight)
    draw(like, 5, "trunk.a")
    assert not torch.equal(layer.weight, like.weight), "another seed"
    draw(like, 4, "trunk.b")
    assert not torch.equal(layer.weight, like.weight), "another name"


def test_a_whole_layer_is_not_used_as_a_slice(added: Callable[[Network], None]) -> None:
    """Its groups would all start alike, and not from the same network as other grids."""
    added(plain())
    with pytest.raises(BadInput) as told:
        planned(DGL(), depth=3, groups=(2, 1, 2), network="plain")
    text = "\n".join(told.value.problems)
    for layer, kind in (("conv", "Conv2d"), ("pixels.0", "Linear"), ("pixels.1", "LayerNorm")):
        assert f"trunk.a.{layer} is a {kind}, a whole layer that no group can have" in text
    assert "trunk.b" not in text and "trunk.c" not in text and len(told.value.problems) == 3
    grid = fresh(planned(DGL(), depth=3, groups=(1, 1, 3), network="plain"))
    whole = fresh(planned(DGL(), depth=1, groups=1, network="plain"))["k0g0"][
        "trunk.c.linear.weight"
    ]
    parts = [grid[f"k2g{g}"]["trunk.c.linear.weight"] for g in range(3)]
    assert torch.equal(torch.cat(parts), whole)


def test_a_network_may_say_that_it_has_no_slices(added: Callable[[Network], None]) -> None:
    net = plain()
    added(Network(name="plain", blocks=net.blocks, base=16, slices=False))
    with pytest.raises(BadInput) as told:
        planned(DGL(), depth=3, groups=(1, 1, 2), network="plain")
    (problem,) = told.value.problems
    assert "--groups: the layers of plain are not made in slices: leave --groups out" in problem


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (Scaled, "trunk.b.1 is a Scaled with weights that nobody draws from the seed"),
        (lambda: nn.LazyConv2d(4, 1), "trunk.b.1 is a LazyConv2d, whose size nobody knows yet"),
        (lambda: nn.MultiheadAttention(16, 2), "trunk.b.1 is a MultiheadAttention with weights"),
        (lambda: nn.Dropout2d(0.1), "trunk.b.1 is a Dropout2d, which draws other numbers in every"),
    ],
    ids=["parameter", "lazy", "attention", "dropout"],
)
def test_what_nobody_can_draw_is_refused_by_name(
    added: Callable[[Network], None], inner: Callable[[], nn.Module], words: str
) -> None:
    with pytest.raises(BadInput) as told:
        draw(nn.Sequential(nn.Identity(), inner()), 0, "trunk.b")
    (problem,) = told.value.problems
    assert words in problem
    if inner is Scaled:  # and before anything is built, by the plan
        added(plain(inner))
        with pytest.raises(BadInput) as told:
            planned(DGL(), depth=2, groups=1, network="plain")
        assert list(told.value.problems) == [problem]


def test_an_option_that_a_network_does_not_look_at_is_refused(
    added: Callable[[Network], None],
) -> None:
    added(plain())
    with pytest.raises(BadInput) as told:
        planned(DGL(), depth=1, groups=1, network="plain", dropout=0.1, slope=0.2)
    assert list(told.value.problems) == [
        "--dropout 0.1: plain has none: leave it out",
        "--slope 0.2: plain has none: leave it out",
    ]


def test_heads_of_ordinary_layers_are_drawn_for_every_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pooled(spec: HeadSpec) -> nn.Module:
        linear = nn.Linear(spec.shape[0], spec.writes)
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)

    monkeypatch.setitem(BUILDERS, "0c1f", pooled)
    method = DGL(head="0c1f", tail="aux")
    plan = planned(method, depth=1, groups=2, network="resnet8", widths=(16, 16, 16, 16))
    torch.manual_seed(1)
    first = states(lockstep(job_of(plan, method, steps=0))[0])
    torch.manual_seed(2)
    second = states(lockstep(job_of(plan, method, steps=0))[0])
    name = "head.2.weight"
    assert torch.equal(first["k0g0"][name], second["k0g0"][name])
    assert not torch.equal(first["k0g0"][name], first["k0g1"][name])


def test_what_the_modules_have_of_their_own_starts_apart() -> None:
    """Heads, decoders and encoders of a row's groups, and of any two rows."""
    method = ContSup(loss="softmax", reconstruct=True, lambdas=(1, 1, 1, 1), tail="aux")
    plan = planned(method, depth=3, groups=2, widths=(16, 16, 16, 16))
    found = states(lockstep(job_of(plan, method, steps=0))[0])
    own = {
        (address, name): tensor
        for address, state in found.items()
        for name, tensor in state.items()
        if name.startswith(("head", "decoder", "contexts")) and tensor.ndim > 1
    }
    parts = {name.split(".")[0] for _, name in own}
    assert parts == {"head", "decoder", "contexts"}
    for (one, a), (other, b) in combinations(own.items(), 2):
        assert a.shape != b.shape or not torch.equal(a, b), f"{one} and {other}"


@pytest.mark.parametrize(
    ("network", "widths", "groups"),
    [("mlp", (12, 9, 10, 8), (3, 2)), ("vgg6a", (6, 8, 8, 10, 12), (2, 3))],
)
def test_every_slice_is_of_the_same_whole(
    network: str, widths: tuple[int, ...], groups: tuple[int, ...]
) -> None:
    """Weights and biases of linear layers and convolutions, behind a cut and inside a row."""
    one = planned(DGL(), depth=1, groups=1, network=network, widths=widths)
    whole = fresh(one)["k0g0"]
    plan = planned(DGL(), depth=2, groups=groups, network=network, widths=widths)
    grid = fresh(plan)
    seen: set[tuple[str, bool]] = set()
    before = dict(zip(one.modules[0].blocks, (0, *widths), strict=False))
    for module in plan.modules:
        for name, tensor in grid[str(module.address)].items():
            if not name.startswith("trunk.") or tensor.ndim == 0:
                continue
            full, block = whole[name], name.split(".")[1]
            wanted = full[Span.of(len(full), module.group, module.groups).slice]
            inside = tensor.ndim > 1 and block != module.blocks[0]
            if inside:
                own = Span.of(before[block], module.group, module.groups)
                area = full.shape[1] // own.total
                wanted = wanted[:, own.start * area : own.stop * area]
            assert torch.equal(tensor, wanted), f"{module.address} {name}"
            seen.add((name, inside))
    assert {name for name, _ in seen} == {n for n, t in whole.items() if "trunk" in n and t.ndim}
    assert sum(inside for _, inside in seen) == len(widths) - 2


def test_layers_and_mirrors_start_between_the_published_bounds() -> None:
    """PyTorch's own (dtp §1.3): a transposed convolution's is the layer's, by what that reads."""
    method = DTP(iterations=(1, 1, 1), noise=(0.1,) * 3, feedback_lr=(0.1,) * 3)
    plan = planned(method, depth=1, groups=1, network="lenet", widths=(4, 8, 20))
    state = states(lockstep(job_of(plan, method, steps=0))[0])["k0g0"]
    fans = {"trunk.conv_0.conv": 3 * 25, "trunk.conv_1.conv": 4 * 25, "trunk.fc_0.linear": 8 * 16}
    fans |= {"trunk.fc.linear": 20, "mirrors.conv_1.back": 4 * 25}
    fans |= {"mirrors.fc_0.back": 20, "mirrors.fc.back": 5}
    assert {name.removesuffix(".weight") for name in state if name.endswith("weight")} == {*fans}
    for name, fan_in in fans.items():
        most = float(state[f"{name}.weight"].abs().max()) * fan_in**0.5
        assert 0.94 < most < 1 + 1e-6, f"{name}: {most}"
        assert float(state[f"{name}.bias"].abs().max()) <= fan_in**-0.5 * (1 + 1e-6)
    assert not torch.equal(state["trunk.conv_1.conv.weight"], state["mirrors.conv_1.back.weight"])
