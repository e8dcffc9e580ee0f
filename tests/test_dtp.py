"""DTP on the grid: the published oracle's numbers, whichever way the layers are spread.

The oracle (spec: dtp §4.2) was made by an implementation written from the formulas and agreed with
the authors' sequential code. Float64, simple_vgg, batch 4.
"""

import math
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from comm.errors import BadInput
from partition.build import LocalModule
from partition.config import GridConfig
from partition.data_spec import DataSpec
from partition.mirrors import mirror
from partition.networks.mirrored import Activated, PooledConv
from partition.plan import Plan
from partition.planner import plan
from partition.request import Request
from tests.apart import train_apart
from tests.grids import Notebook, lockstep, states
from tests.processes import processes
from tests.test_exactness import worst
from workers.ballot import Result
from workers.diagnosis import apart_by
from workers.drive import drive
from workers.grid import hire
from workers.job import Job
from workers.methods.backprop import Backprop
from workers.methods.dtp import DTP
from workers.methods.gn_dgl import GNDGL
from workers.methods.method import Method
from workers.optim import OptimConfig
from workers.schedule import training
from workers.step import Inbox, Step
from workers.targets import Layer, layers_of, target_before, target_of_logits
from workers.worker import Worker

LAYERS = ("conv_0", "conv_1", "conv_2", "conv_3", "conv_4", "fc")
READ = (3, 128, 128, 256, 256)
MADE = (128, 128, 256, 256, 512)
OPTIM = OptimConfig(
    epochs=1, lr=0.05, schedule="constant", nesterov=False, momentum=0.9, weight_decay=1e-4
)

# Step 0 of §4.2, by layer.
NORMS = (250.187772, 75.129335, 31.717236, 8.155063, 2.691286, 0.294833)
FIRST_FEEDBACK = (356.519332417, 160.084627457, 8.499590225, 2.575200959, 1.419712440)
LAST_FEEDBACK = (-275.586265979, -205.901711022, 8.015172604, 1.453656893, 0.891413898)
MIRRORS = (6.097936826, 9.520935860, 16.505469458, 14.562643181, 9.557070439)
LOSSES = (0.0234277962, 0.0882351586, 0.2827112276, 0.3452958787, 1.9849833289, 0.2203415880)
GRADIENTS = (0.561839045, 4.014525464, 4.172392862, 4.182040863, 4.289742680, 0.492945275)
WEIGHTS = (6.497725715, 6.533221462, 9.241671781, 9.236224449, 13.072731191, 1.845937696)


class OracleFeed:
    """The oracle's random batches: stands where `Feed` stands."""

    steps_per_epoch = 8

    def rows(self, step: int) -> int:
        return 4

    def images(self, step: int) -> Tensor:
        return self._draw(step)[0]

    def labels(self, step: int) -> Tensor:
        return self._draw(step)[1]

    def eval_images(self, split: str, index: int) -> Tensor:
        return self.images(100 + index)[: 4 - 3 * index]

    def eval_labels(self, split: str, index: int) -> Tensor:
        return self.labels(100 + index)[: 4 - 3 * index]

    def _draw(self, step: int) -> tuple[Tensor, Tensor]:
        source = torch.Generator().manual_seed(5000 + step)
        images = torch.randn(4, 3, 32, 32, generator=source, dtype=torch.float64)
        return images, torch.randint(0, 10, (4,), generator=source)


@dataclass(frozen=True, kw_only=True)
class OracleDTP(DTP):
    """With the oracle's noise: one generator per layer, seeded once and never reset."""

    sources: dict[str, torch.Generator] = field(default_factory=dict)

    def source(self, module: LocalModule, layer: Layer, step: int) -> torch.Generator:
        if layer.name not in self.sources:
            fresh = torch.Generator().manual_seed(1000 + layer.index)
            self.sources[layer.name] = fresh
        return self.sources[layer.name]


def oracle_weights() -> dict[str, Tensor]:
    """Drawn in the oracle's order, by "trunk.<layer>" and "mirror.<layer>"."""
    torch.manual_seed(0)
    drawn: dict[str, nn.Module] = {}
    for index, made in enumerate(MADE):
        drawn[f"trunk.conv_{index}"] = nn.Conv2d(READ[index], made, 3, padding=1)
    drawn["trunk.fc"] = nn.Linear(512, 10)
    drawn["mirror.fc"] = nn.Linear(10, 512)
    for index, made in reversed(list(enumerate(MADE))):
        drawn[f"mirror.conv_{index}"] = nn.ConvTranspose2d(made, READ[index], 3, padding=1)
    return {
        f"{name}.{part}": tensor.detach().double()
        for name, layer in drawn.items()
        for part, tensor in layer.named_parameters()
    }


def planned(
    depth: int, cuts: tuple[str, ...] = ("single",), method: Method | None = None, **more: Any
) -> Plan:
    config = {"network": "simple_vgg", "depth": depth, "cuts": cuts, "window": 2, **more}
    return plan(
        Request(
            method="dtp",
            wiring=(method or DTP()).wiring(),
            config=GridConfig(**config),
            data=DataSpec(
                name="oracle", shape=(3, 32, 32), classes=10, train=32, test=4, digest="00"
            ),
            batch=4,
            eval_batch=4,
            dtype="float64",
        )
    )


def job_of(plan: Plan, method: DTP, steps: int, *, evaluate: bool = False) -> Job:
    return Job(
        plan=plan,
        method=method,
        optim=OPTIM,
        schedule=training(
            epochs=1,
            steps_per_epoch=max(steps, 1),
            max_steps=steps,
            eval_every=int(evaluate),
            eval_turns={"test": 2},
        ),
        seed=0,
        feed=OracleFeed(),  # type: ignore[arg-type]
        device=torch.device("cpu"),
    )


def trained(
    plan: Plan, method: DTP, steps: int, *, evaluate: bool = False
) -> tuple[dict[str, Worker], list[Notebook]]:
    """Workers by layer, from the oracle's weights, after some steps."""
    job = job_of(plan, method, steps, evaluate=evaluate)
    notebooks = {address: Notebook() for address in plan.grid}
    workers = hire(job, notebooks)
    weights = oracle_weights()
    by_layer: dict[str, Worker] = {}
    for worker in workers:
        for name in worker.module.plan.blocks:
            by_layer[name] = worker
            load(worker.module, name, weights)
    drive(workers)
    return by_layer, list(notebooks.values())


def load(module: LocalModule, name: str, weights: dict[str, Tensor]) -> None:
    pairs = [("trunk", module.trunk.get_submodule(name))]
    if name in module.mirrors:
        pairs.append(("mirror", module.mirrors[name]))
    with torch.no_grad():
        for part, layer in pairs:
            for path, tensor in layer.named_parameters():
                tensor.copy_(weights[f"{part}.{name}.{path.rsplit('.', 1)[1]}"])


def weight(module: nn.Module) -> Tensor:
    return next(p for path, p in module.named_parameters() if path.endswith("weight"))


def norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.detach()))


def lessons(notebooks: list[Notebook], step: int) -> dict[str, float]:
    return {name: value for book in notebooks for name, value in book.lessons[step].items()}


@pytest.fixture(scope="module")
def first_step() -> tuple[dict[str, Worker], list[Notebook]]:
    return trained(planned(6), OracleDTP(), 1)


def test_step_zero_is_the_oracles(first_step: tuple[dict[str, Worker], list[Notebook]]) -> None:
    layers, notebooks = first_step
    told = lessons(notebooks, 0)
    assert [told[name] for name in LAYERS] == pytest.approx(LOSSES, rel=1e-9)
    feedback = [told[f"feedback {name}"] for name in LAYERS[1:]]
    assert feedback == pytest.approx(LAST_FEEDBACK, rel=1e-9)
    mirrors = [norm(weight(layers[name].module.mirrors[name])) for name in LAYERS[1:]]
    assert mirrors == pytest.approx(MIRRORS, rel=1e-9)
    trunks = [weight(layers[name].module.trunk.get_submodule(name)) for name in LAYERS]
    assert [norm(w) for w in trunks] == pytest.approx(WEIGHTS, rel=1e-9)
    assert [norm(w.grad) for w in trunks if w.grad is not None] == pytest.approx(
        GRADIENTS, rel=1e-9
    )


def test_the_first_feedback_losses_are_the_oracles() -> None:
    """And what every layer makes."""
    module, method = trained(planned(1), DTP(), 0)[0]["fc"].module, OracleDTP()
    inbox = Inbox(features=OracleFeed().images(0), step=0, batch=4, rows=slice(0, 4))
    layers = [*layers_of(module, inbox.features)]
    assert [norm(layer.s) for layer in layers] == pytest.approx(NORMS, abs=1e-6)
    losses: list[float] = []
    for layer in layers[1:]:
        source = method.source(module, layer, 0)
        losses.append(float(method._match_jacobians(module, layer, inbox, source)))
    assert losses == pytest.approx(FIRST_FEEDBACK, rel=1e-9)


def test_a_mirrors_bias_has_no_gradient(
    first_step: tuple[dict[str, Worker], list[Notebook]],
) -> None:
    """The three calls' gradients add up to zero at every position: biases are dead (§1.5)."""
    layers, _ = first_step
    fresh = oracle_weights()
    for name in LAYERS[1:]:
        mirror = layers[name].module.mirrors[name]
        moved = {path.rsplit(".", 1)[1]: p for path, p in mirror.named_parameters()}
        assert (moved["bias"] - fresh[f"mirror.{name}.bias"]).abs().max() < 1e-14
        assert (moved["weight"] - fresh[f"mirror.{name}.weight"]).abs().max() > 1e-3


def test_the_top_layers_gradient_is_beta_times_backprops(
    first_step: tuple[dict[str, Worker], list[Notebook]],
) -> None:
    layers, _ = first_step
    weights, feed = oracle_weights(), OracleFeed()
    x = feed.images(0)
    for index in range(5):
        name = f"trunk.conv_{index}"
        made = nn.functional.conv2d(
            x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1
        )
        x = nn.functional.max_pool2d(nn.functional.elu(made), 2)
    last = weights["trunk.fc.weight"].requires_grad_()
    logits = nn.functional.linear(x.flatten(1), last, weights["trunk.fc.bias"])
    nn.functional.cross_entropy(logits, feed.labels(0)).backward()
    mine = weight(layers["fc"].module.trunk.get_submodule("fc")).grad
    assert mine is not None and last.grad is not None
    assert (mine - 0.7 * last.grad).abs().max() < 1e-14


def spread(depth: int, cuts: tuple[str, ...], **more: Any) -> dict[str, Tensor]:
    """All weights, by layer, after two steps with the grid's own noise."""
    method = replace(DTP(), iterations=(2, 3, 2, 3, 2))
    layers, _ = trained(planned(depth, cuts, **more), method, 2)
    found: dict[str, Tensor] = {}
    for name, worker in layers.items():
        module = worker.module
        found |= {f"trunk.{name}.{path}": t for path, t in module.layer(name).named_parameters()}
        if name in module.mirrors:
            back = module.mirror(name)
            found |= {f"mirror.{name}.{path}": t for path, t in back.named_parameters()}
    return {name: tensor.detach().clone() for name, tensor in found.items()}


def test_grouped_layers_learn_what_single_ones_learn() -> None:
    single = spread(6, ("single",))
    for depth, cuts in ((1, ("single",)), (3, ("conv_1", "conv_2")), (2, ("conv_4",))):
        grouped = spread(depth, cuts)
        assert grouped.keys() == single.keys()
        assert max(float((grouped[k] - single[k]).abs().max()) for k in single) < 1e-12


@pytest.mark.parametrize(
    ("cuts", "replicas"),
    [
        (("single",), (1, 3, 2, 1, 1, 1)),  # three shares hear from one and tell two
        (("conv_1", "conv_2"), (2, 1, 3)),  # with the images, and with the votes
        (("conv_1",), (2, 4)),  # as many images as shares
    ],
    ids=str,
)
def test_a_replicated_row_learns_what_one_process_learns(
    cuts: tuple[str, ...], replicas: tuple[int, ...]
) -> None:
    """Noise is drawn for the whole batch, and gradients are added up within the row (§5.2)."""
    single = spread(6, ("single",))
    shared_out = spread(len(replicas), cuts, replicas=replicas)
    assert shared_out.keys() == single.keys()
    assert max(float((shared_out[k] - single[k]).abs().max()) for k in single) < 1e-9


class WaningFeed(OracleFeed):
    """Every batch has fewer images."""

    def rows(self, step: int) -> int:
        return 4 - step

    def _draw(self, step: int) -> tuple[Tensor, Tensor]:
        images, labels = super()._draw(step)
        return images[: 4 - step], labels[: 4 - step]


def test_batches_may_have_fewer_images_than_a_row_has_replicas() -> None:
    """Also in the row that tells its accuracy, and where gradients are clipped."""
    ends: list[dict[str, Tensor]] = []
    for replicas in ((1, 1, 1), (2, 4, 3)):
        method = DTP(iterations=(2, 1, 1, 2, 1), diagnose=True)
        plan = planned(3, ("conv_1", "conv_2"), method, replicas=replicas)
        job = replace(job_of(plan, method, 4), optim=replace(OPTIM, clip_norm=0.1))
        feed: Any = WaningFeed()
        workers = hire(replace(job, feed=feed), {address: Notebook() for address in plan.grid})
        drive(workers)
        ends.append(
            {
                name: parameter.detach()
                for worker in workers
                if not worker.address.g
                for name, parameter in worker.module.named_parameters()
            }
        )
    one, several = ends
    assert max(float((one[name] - several[name]).abs().max()) for name in one) < 1e-9


def test_replicas_stay_the_same_to_the_last_bit() -> None:
    method = replace(DTP(), iterations=(2, 1, 1, 1, 1))
    plan = planned(2, ("conv_1",), method, replicas=(3, 1))
    job = job_of(plan, method, 2)
    workers = hire(job, {address: Notebook() for address in plan.grid})
    drive(workers)
    first, *others = (worker.module for worker in workers if worker.address.k == 0)
    for other in others:
        for mine, theirs in zip(first.parameters(), other.parameters(), strict=True):
            assert torch.equal(mine, theirs)


def test_a_replica_that_forgets_the_sum_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the comparison above."""

    def alone(module: LocalModule, name: str, parameters: object) -> Step[None]:
        yield from ()

    seen = spread(6, ("single",))
    monkeypatch.setattr("workers.methods.dtp.add_up", alone)
    forgotten = spread(2, ("conv_1",), replicas=(2, 1))
    assert max(float((forgotten[k] - seen[k]).abs().max()) for k in seen) > 1e-6


def test_an_evaluation_counts_every_image_of_all_replicas() -> None:
    """Of votes that are shared out as well; the last batch is smaller than the shares are many."""
    results: list[list[Result]] = []
    for more in ({}, {"replicas": (1, 2, 3)}):
        method = DTP(iterations=(1,) * 5)
        plan = planned(3, ("conv_1", "conv_2"), method, **more)
        _, notebooks = trained(plan, method, 1, evaluate=True)
        results.append([result for book in notebooks for result in book.results])
    (one,), (several,) = results
    assert several.images == one.images == 5
    assert several.loss == pytest.approx(one.loss, rel=1e-9)
    assert (several.rows, several.ensemble) == (one.rows, one.ensemble)
    assert several.member is None


SPREAD = {
    "one layer each": (("single",), (1,) * 6),
    "grouped": (("conv_1", "conv_2"), (1, 1, 1)),
    "replicated": (("conv_1", "conv_2"), (2, 1, 2)),
}


@pytest.mark.parametrize("name", SPREAD)
def test_processes_compute_what_lockstep_computes(name: str, tmp_path: Path) -> None:
    """simple_vgg, three steps and an evaluation: bit for bit."""
    cuts, replicas = SPREAD[name]
    method = DTP(iterations=(3, 2, 2, 3, 4), diagnose=True)
    plan = planned(len(replicas), cuts, method, replicas=replicas)
    make_job = partial(job_of, method=method, steps=3, evaluate=True)
    with processes(plan.grid.processes) as children:
        weights, notes = train_apart(children, plan, make_job, folder=tmp_path)
    together, notebooks = lockstep(make_job(plan))
    assert worst(weights, states(together)) == 0.0
    assert notes == {str(address): notebook for address, notebook in notebooks.items()}


def test_only_rows_that_add_up_can_have_replicas() -> None:
    with pytest.raises(BadInput) as caught:
        planned(2, ("even",), GNDGL(), replicas=(2, 0, 9), network="resnet8")
    said = "\n".join(caught.value.problems)
    assert "give one number for all rows, or 2" in said and "at least one process" in said
    assert "a batch of 4 images" in said and "only dtp's rows" in said


def test_other_noise_is_noticed() -> None:
    """Negative control of the comparison above."""
    seen = spread(6, ("single",))
    other = replace(DTP(), iterations=(2, 3, 2, 3, 2), noise=(0.4, 0.4, 0.2, 0.2, 0.081))
    layers, _ = trained(planned(6), other, 2)
    moved = weight(layers["fc"].module.mirrors["fc"]).detach()
    assert float((moved - seen["mirror.fc.back.weight"]).abs().max()) > 1e-6


@pytest.mark.parametrize("rule", ["vanilla", "tp"])
def test_the_older_rules_learn_by_reconstruction(rule: str) -> None:
    more: dict[str, Any] = {"rule": rule, "iterations": (2,) * 5, "feedback_lr": (1e-4,) * 5}
    method = DTP(**more)
    layers, notebooks = trained(planned(6), method, 2)
    told = lessons(notebooks, 1)
    assert all(told[f"feedback {name}"] > 0 for name in LAYERS[1:])
    assert all(torch.isfinite(weight(worker.module.trunk)).all() for worker in layers.values())


def test_a_target_is_of_a_whole_layer() -> None:
    with pytest.raises(BadInput, match="a target is one for a whole layer"):
        planned(2, ("even",), groups=(2,))


def test_backprop_of_the_same_network_has_no_head() -> None:
    whole = planned(1, method=Backprop(), network="lenet")
    assert whole.modules[0].head.kind == "none" and whole.predictors == (0,)
    assert whole.modules[0].parameters == whole.whole_parameters


def test_targets_travel_back_and_nothing_else() -> None:
    drawn = {str(r): r.kind.value for r in planned(3, ("conv_1", "conv_2")).routes}
    assert drawn == {
        "k0g0→k1g0": "ahead",
        "k1g0→k2g0": "ahead",
        "k1g0→k0g0": "target",
        "k2g0→k1g0": "target",
    }


def test_the_plan_predicts_what_feedback_training_can_win() -> None:
    """Σ n_l c_l / max over the processes, 2.53 for six of them; three are enough (§2, §5.2)."""
    six, three = planned(6), planned(3, ("macs",))
    assert six.training_speedup == pytest.approx(2.53, abs=0.01)
    assert three.training_speedup == pytest.approx(2.53, abs=0.01)
    assert [len(module.blocks) for module in three.modules] == [2, 1, 3]


FAINT: dict[str, Any] = {"diagnose": True, "iterations": (1,) * 5, "feedback_lr": (1e-12,) * 5}


def diagnosed(mirrors: bool, *cuts: str, **more: Any) -> dict[str, float]:
    """The notes of a step without feedback training to speak of; `mirrors` are the layers' own."""
    method = DTP(**FAINT)
    plan = planned(len(cuts) + 1, cuts or ("single",), method, **more)
    notebooks = {address: Notebook() for address in plan.grid}
    workers = hire(job_of(plan, method, 1), notebooks)
    weights = oracle_weights()
    for name in LAYERS[1:] if mirrors else ():
        weight = weights[f"trunk.{name}.weight"]
        weights[f"mirror.{name}.weight"] = weight.T if name == "fc" else weight
    for worker in workers:
        for name in worker.module.plan.blocks:
            load(worker.module, name, weights)
    drive(workers)
    return lessons([*notebooks.values()], 0)


@pytest.mark.parametrize(
    ("replicas", "speedup"),
    [
        ((1, 2, 1, 1, 1, 1), 3.38),
        ((1, 2, 2, 1, 1, 1), 5.06),
        ((1, 3, 2, 1, 1, 1), 5.79),
        ((1, 3, 2, 2, 1, 1), 6.75),
    ],
    ids=str,
)
def test_replicas_raise_the_bound(replicas: tuple[int, ...], speedup: float) -> None:
    """§5.2: of feedback training alone; the plan counts the waves as well."""
    plan = planned(6, replicas=replicas)
    slowest = max(plan.modules, key=lambda m: m.feedback_macs / m.share.of)
    assert plan.feedback_macs * slowest.share.of / slowest.feedback_macs == pytest.approx(
        speedup, abs=0.01
    )
    assert plan.training_speedup == pytest.approx(speedup, rel=0.01)


@pytest.mark.parametrize("name", ["conv", "linear", "activated"])
def test_a_mirrors_gradient_is_autograds(name: str) -> None:
    """`pull` against the gradient of the inner product; `opened` and `led` make up the mirror."""
    made: nn.Module = {
        "conv": lambda: PooledConv(3, 5, 5, (3, 2, 1)),
        "linear": lambda: Activated(3 * 8 * 8, 5, elu=False),
        "activated": lambda: Activated(3 * 8 * 8, 5, elu=True),
    }[name]().double()
    assert isinstance(made, PooledConv | Activated)
    back = mirror(made, (3, 8, 8)).double()
    source = torch.Generator().manual_seed(3)
    y, code = made.coded(torch.randn(4, 3, 8, 8, generator=source, dtype=torch.float64))
    aims = torch.randn(4, 3, 8, 8, generator=source, dtype=torch.float64)
    y = y.detach()
    opened = back.opened(y, code)
    (back.led(opened) * aims).sum().backward()
    assert back.weight.grad is not None
    assert (back.pull(opened, aims) - back.weight.grad).abs().max() < 1e-12
    bias = dict(back.back.named_parameters())["bias"]
    shaped = bias.view(-1, 1, 1) if name == "conv" else bias.view(3, 8, 8)
    assert (back(y, code) - back.led(opened) - shaped).abs().max() < 1e-12


def test_the_feedback_losses_gradient_is_autograds() -> None:
    """Four passes instead of seven: against the formula as it stands (§1.5), three calls of G."""
    module = trained(planned(6), DTP(), 0)[0]["conv_3"].module
    method, inputs = DTP(), torch.Generator().manual_seed(5)
    method.prepared(module)
    x = torch.randn(4, *module.plan.reads, generator=inputs, dtype=torch.float64)
    inbox = Inbox(features=x, step=0, batch=4, rows=slice(0, 4))
    (layer,) = layers_of(module, x)
    with torch.no_grad():
        loss = method._match_jacobians(module, layer, inbox, method.source(module, layer, 0))
    back = module.mirror("conv_3")
    mine, dead = back.weight.grad, dict(back.back.named_parameters())["bias"].grad
    assert mine is not None and dead is not None and not dead.any()

    source, y = method.source(module, layer, 0), layer.s.detach()
    dx = 0.2 * torch.randn(x.shape, generator=source, dtype=torch.float64)
    dy = 0.2 * torch.randn(y.shape, generator=source, dtype=torch.float64)
    noisy, code = (part.detach() for part in module.layer("conv_3").coded(x + dx))  # type: ignore
    back.zero_grad()
    r, rn, ry = back(y, layer.code), back(noisy, code), back(y + dy, layer.code)
    formula = (-2 * dx * (rn - r) + (ry - r).square()).sum() / 4
    formula.backward()
    assert float(loss) == pytest.approx(float(formula.detach()), rel=1e-12)
    assert back.weight.grad is not None
    assert (mine - back.weight.grad).abs().max() < 1e-12 * float(mine.abs().max())


def test_mirrors_that_are_their_layers_make_backprops_gradient() -> None:
    """§4.3: with V = W the angles at β = 0.005 are 1.3, 0.3, 0.1, 0, 0, 0 degrees, not quite 0 as

    ELU's slope is taken before the activation forward, and behind it backward.
    """
    told = diagnosed(True, "conv_1", "conv_2")
    for name in LAYERS[1:]:
        assert told[f"angle {name}"] < 1e-5 and told[f"distance {name}"] < 1e-9
    angles = [told[f"gradient angle {name}"] for name in LAYERS]
    assert all(angle < 3 for angle in angles) and angles[0] > 0
    assert angles[-1] < 1e-5 and told["gradient distance fc"] < 1e-9
    strange = diagnosed(False, "conv_1", "conv_2")  # negative control
    assert [strange[f"angle {name}"] for name in LAYERS[1:]] == pytest.approx([90] * 5, abs=3)
    assert min(strange[f"gradient angle {name}"] for name in LAYERS[:5]) > 60


def test_the_gradient_of_backprop_is_backprops() -> None:
    """It crosses three processes, one of them a pair of replicas: against autograd's."""
    seen: dict[str, Tensor] = {}

    def spy(name: str, this: Tensor, that: Tensor, of: str = "") -> dict[str, float]:
        seen.setdefault(f"{of}{name}", that.detach().clone())
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.diagnosis.apart_by", spy)
        diagnosed(False, "conv_1", "conv_2", replicas=(1, 2, 1))
    module = trained(planned(1), DTP(), 0)[0]["fc"].module
    feed = OracleFeed()
    nn.functional.cross_entropy(module.trunk(feed.images(0)), feed.labels(0)).backward()
    for name in LAYERS:
        expected = module.layer(name).weight.grad
        assert expected is not None
        assert (seen[f"gradient {name}"] - expected).abs().max() < 1e-12


def test_diagnosing_changes_nothing_else() -> None:
    method = DTP(iterations=(1,) * 5)
    ends: list[dict[str, Tensor]] = []
    for diagnose in (False, True):
        layers, _ = trained(planned(2, ("conv_2",)), replace(method, diagnose=diagnose), 2)
        ends.append({name: weight(w.module.layer(name)) for name, w in layers.items()})
    plain, inspected = ends
    assert all(torch.equal(plain[name], inspected[name]) for name in LAYERS)


@dataclass(frozen=True, kw_only=True)
class Dawdling(DTP):
    """Takes its time to inspect."""

    def inspect(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[dict[str, float]]:
        yield from ()
        time.sleep(0.8)
        return {"slept": 0.8}


def test_what_is_inspected_takes_no_time_that_counts() -> None:
    method = Dawdling(iterations=(1,) * 5)
    layers, notebooks = trained(planned(2, ("conv_2",)), method, 2)
    assert [book.lessons[1]["slept"] for book in notebooks] == [0.8, 0.8]
    for worker in {layers["conv_0"], layers["fc"]}:
        # in one process the other's steps are time that is waited
        assert worker.state.times.seconds - sum(worker.state.waited.values()) < 1.4


def test_what_has_no_direction_has_no_angle() -> None:
    found = apart_by("fc", torch.zeros(2, 3), torch.ones(2, 3))
    found |= apart_by("fc", torch.full((2, 3), torch.nan), torch.ones(2, 3), of="gradient ")
    assert [*found] == ["angle fc", "distance fc", "gradient angle fc", "gradient distance fc"]
    assert all(math.isnan(value) for value in found.values())


def lagging(plan: Plan, steps: int, lag: Any) -> tuple[dict[str, Worker], list[Notebook]]:
    method = DTP(iterations=(2, 1, 1, 2, 1), feedback_lag=lag)
    return trained(plan, method, steps)


def test_lagging_feedback_makes_targets_of_the_batch_before() -> None:
    """The first targets are of untrained mirrors, and the second of those that batch 0 trained."""
    plan = planned(3, ("conv_1", "conv_2"))
    layers, notebooks = lagging(plan, 1, 1)
    fresh = trained(planned(1), DTP(), 0)[0]["fc"].module
    feed = OracleFeed()
    told = lessons(notebooks, 0)
    read = [*layers_of(fresh, feed.images(0))]
    target = target_of_logits(read[-1].s.detach(), feed.labels(0), 0.7)
    for layer in reversed(read):
        assert told[layer.name] == pytest.approx(norm(layer.s - target) ** 2 / 8)
        if layer.index:
            target = target_before(fresh, layer, target)
    moved = weight(layers["conv_1"].module.mirrors["conv_1"])
    assert not torch.equal(moved, weight(fresh.mirrors["conv_1"]))  # by batch 0, afterwards

    together, _ = lagging(planned(1), 3, 1)
    apart, _ = lagging(plan, 3, 1)
    exact, _ = lagging(plan, 3, 0)
    for name in LAYERS:
        mine = weight(apart[name].module.layer(name))
        assert (mine - weight(together[name].module.layer(name))).abs().max() < 1e-12
        assert not torch.equal(mine, weight(exact[name].module.layer(name)))
