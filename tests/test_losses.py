"""Losses, dropout, rates and accuracies against their definitions, written as plainly as they read.

Double loops and sums, no cleverness: the numbers in brackets are sections of the specification.
"""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from comm.address import Address
from partition.build import build
from partition.decoder import Decoder
from partition.layers import Dropout, dropout_mask
from partition.spans import Span
from tests.grids import EVAL, RandomFeed, job_of, lockstep, planned, states
from workers.losses import contrast, similarity
from workers.methods.gn_dgl import GNDGL
from workers.methods.infopro import InfoPro
from workers.optim import LearningRate, OptimConfig, optimizer
from workers.step import Lesson
from workers.update import advance, backward

EXACT = {"rtol": 1e-11, "atol": 1e-11}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=source, dtype=torch.float64)


def classes_of(*labels: int) -> Tensor:
    return torch.tensor(labels)


# ── supervised contrast (5) ──────────────────────────────────────────────────────────────────


def naive_contrast(embeddings: Tensor, labels: list[int], temperature: float = 0.07) -> float:
    """One view: mean over anchors of the mean over positives of -log(share among all others)."""
    rows = [[float(x) for x in row] for row in embeddings]
    units = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows]

    def alike(i: int, j: int) -> float:
        return sum(a * b for a, b in zip(units[i], units[j], strict=True)) / temperature

    total = 0.0
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if j != i]
        positives = [j for j in others if labels[j] == labels[i]]
        denominator = math.fsum(math.exp(alike(i, j)) for j in others)
        of_anchor = [-math.log(math.exp(alike(i, j)) / denominator) for j in positives]
        total += sum(of_anchor) / len(positives) if positives else 0.0
    return total / len(labels)


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=2, max_size=9),
    size=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_contrast_is_what_it_is_defined_as(labels: list[int], size: int, seed: int) -> None:
    embeddings = drawn(len(labels), size, seed=seed)
    loss = contrast(embeddings, classes_of(*labels)).item()
    assert loss == pytest.approx(naive_contrast(embeddings, labels), rel=1e-9, abs=1e-9)


def test_an_anchor_without_another_of_its_class_stays_in_the_mean() -> None:
    """Its term is 0; the pair of class 0 still sees it among the others."""
    embeddings, labels = drawn(3, 4), [0, 0, 1]
    loss = contrast(embeddings, classes_of(*labels)).item()
    assert loss == pytest.approx(naive_contrast(embeddings, labels))
    unit = embeddings / embeddings.norm(dim=1, keepdim=True)
    a, b, c = (unit / math.sqrt(0.07)).unbind()
    pair = [torch.logaddexp(a @ b, x @ c) - a @ b for x in (a, b)]
    assert loss == pytest.approx((sum(pair) / 3).item())
    assert contrast(drawn(4, 3), classes_of(0, 1, 2, 3)).item() == 0


def test_the_length_of_an_embedding_does_not_matter() -> None:
    embeddings, labels = drawn(8, 5), classes_of(0, 1, 0, 2, 2, 1, 0, 3)
    scales = torch.tensor([1e-3, 1e3, 1.0, 7.0, 0.2, 30.0, 5.0, 2.0]).double().unsqueeze(1)
    torch.testing.assert_close(
        contrast(embeddings * scales, labels), contrast(embeddings, labels), **EXACT
    )


@pytest.mark.parametrize(
    "embeddings",
    [drawn(6, 4), torch.zeros(6, 4).double(), torch.ones(6, 4).double(), 1e8 * drawn(6, 4)],
    ids=["any", "zero", "equal", "huge"],
)
def test_contrast_has_a_finite_gradient(embeddings: Tensor) -> None:
    embeddings = embeddings.clone().requires_grad_()
    loss = contrast(embeddings, classes_of(0, 0, 1, 1, 1, 2))
    loss.backward()
    assert torch.isfinite(loss) and embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


# ── similarity (3.2) ─────────────────────────────────────────────────────────────────────────


def flattened(sample: Tensor) -> list[float]:
    """Maps of more than three channels and one row: their spread over the places, unbiased."""
    if sample.ndim == 3 and sample.shape[0] > 3 and sample.shape[1] > 1:
        spreads: list[float] = []
        for channel in sample:
            places = [float(x) for x in channel.flatten()]
            mean = sum(places) / len(places)
            variance = sum((x - mean) ** 2 for x in places) / (len(places) - 1)
            spreads.append(math.sqrt(variance))
        return spreads
    return [float(x) for x in sample.flatten()]


def unit_of(features: list[float]) -> list[float]:
    mean = sum(features) / len(features)
    centred = [x - mean for x in features]
    length = 1e-8 + math.sqrt(sum(x * x for x in centred))
    return [x / length for x in centred]


def naive_similarity(features: Tensor, labels: list[int], classes: int) -> float:
    seen = [unit_of(flattened(sample)) for sample in features]
    wanted = [unit_of([float(c == label) for c in range(classes)]) for label in labels]

    def cosine(a: list[float], b: list[float]) -> float:
        return min(1.0, max(-1.0, sum(x * y for x, y in zip(a, b, strict=True))))

    total = 0.0
    for i in range(len(labels)):
        for j in range(len(labels)):
            total += (cosine(seen[i], seen[j]) - cosine(wanted[i], wanted[j])) ** 2
    return total / len(labels) ** 2


@pytest.mark.parametrize(
    "shape",
    [(5, 3, 4), (4, 2, 1), (3, 4, 4), (1, 4, 4), (6, 1, 5), (2, 1, 1), (7,)],
    ids=["maps", "column", "three channels", "one channel", "one row", "pixels", "flat"],
)
def test_similarity_is_what_it_is_defined_as(shape: tuple[int, ...]) -> None:
    labels = [0, 2, 1, 2, 0, 3]
    for seed in range(3):
        features = drawn(len(labels), *shape, seed=seed)
        loss = similarity(features, classes_of(*labels), 4).item()
        assert loss == pytest.approx(naive_similarity(features, labels, 4), rel=1e-9)


def test_features_that_look_like_their_classes_lose_nothing() -> None:
    labels = classes_of(0, 2, 1, 2, 0)
    told = 5.0 * torch.nn.functional.one_hot(labels, 4).double() + 3.0
    assert similarity(told, labels, 4).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("shape", [(5, 3, 4), (2, 3, 3), (6,)], ids=str)
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "any"])
def test_similarity_has_a_finite_gradient(shape: tuple[int, ...], constant: bool) -> None:
    """Also for maps without any spread, which a dead channel has."""
    features = torch.full((4, *shape), 2.0).double() if constant else drawn(4, *shape)
    features.requires_grad_()
    loss = similarity(features, classes_of(0, 1, 1, 0), 3)
    loss.backward()
    assert torch.isfinite(loss) and features.grad is not None
    assert torch.isfinite(features.grad).all()


# ── reconstruction (5) ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_reconstruction_is_finite_and_is_cross_entropy(scale: float) -> None:
    decoder = Decoder(5, (3, 8, 8)).double()
    x = (scale * drawn(4, 5, 4, 4)).requires_grad_()
    pixels = drawn(4, 3, 8, 8, seed=1).sigmoid()
    with torch.no_grad():
        decoder.conv1.weight *= scale
    logits = decoder(x)
    assert logits.shape == pixels.shape
    loss = binary_cross_entropy_with_logits(logits, pixels)
    loss.backward()
    assert torch.isfinite(loss) and x.grad is not None and torch.isfinite(x.grad).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in decoder.parameters())
    if scale == 1:
        shown = logits.sigmoid()
        naive = -(pixels * shown.log() + (1 - pixels) * (1 - shown).log()).mean()
        torch.testing.assert_close(loss, naive, **EXACT)


def test_the_decoder_is_the_published_one() -> None:
    """Enlarged first, then convolved: with biases, and 12 channels between."""
    decoder = Decoder(6, (3, 9, 8)).double()
    theirs = torch.nn.Sequential(
        torch.nn.Upsample(size=(9, 8), mode="bilinear", align_corners=True),
        torch.nn.Conv2d(6, 12, 3, padding=1),
        torch.nn.BatchNorm2d(12),
        torch.nn.ReLU(),
        torch.nn.Conv2d(12, 3, 3, padding=1),
    ).double()
    values = decoder.state_dict().values()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
    x = drawn(2, 6, 5, 4)
    torch.testing.assert_close(decoder(x), theirs(x), **EXACT)


# ── λ (5) ────────────────────────────────────────────────────────────────────────────────────

LAMBDAS = (5.0, 0.5, 0.25, 2.0)  # reconstruction and task at the first net, then at the last
# depth: (reconstruction, task) of every row but the last, by hand: a (1 - r) + b r, r = m / (K - 2)
INTERPOLATED = {
    2: [(5.0, 0.5)],
    3: [(5.0, 0.5), (0.25, 2.0)],
    4: [(5.0, 0.5), (2.625, 1.25), (0.25, 2.0)],
}


@pytest.mark.parametrize("depth", INTERPOLATED)
def test_lambdas_are_interpolated_between_the_first_net_and_the_last(depth: int) -> None:
    """What is recorded is weighed; over the bare losses of the same weights it is λ."""
    method = InfoPro(loss="softmax", lambdas=LAMBDAS)
    plan = planned(method, depth=depth, groups=1)
    _, notebooks = lockstep(job_of(plan, method, steps=1))
    feed = RandomFeed(2)
    h, labels = feed.images(0), feed.labels(0)
    pixels = feed.denormalised(h)
    for k, module in enumerate(plan.modules):
        mine = build(plan, module.address, seed=7, device="cpu").train()
        lesson = notebooks[module.address].lessons[0]
        with torch.no_grad():
            h = mine.trunk(h)
            task = cross_entropy(mine.head(h), labels).item()
            if k == depth - 1:
                assert lesson["task"] == pytest.approx(task, rel=1e-12)
                assert "reconstruction" not in lesson and mine.decoder is None
                break
            assert mine.decoder is not None
            told = binary_cross_entropy_with_logits(mine.decoder(h), pixels).item()
        weights = lesson["reconstruction"] / told, lesson["task"] / task
        assert weights == pytest.approx(INTERPOLATED[depth][k], rel=1e-12)
        assert lesson["loss"] == pytest.approx(lesson["reconstruction"] + lesson["task"])


# ── dropout ──────────────────────────────────────────────────────────────────────────────────


def dropout(p: float, group: int, groups: int, step: int, total: int = 11) -> Dropout:
    layer = Dropout(p, Span.of(total, group, groups))
    layer.draw(3, "conv1.dropout")
    layer.step = step
    return layer


def test_a_mask_depends_on_seed_name_and_step_alone() -> None:
    def of(seed: int = 3, name: str = "a", step: int = 5) -> Tensor:
        torch.rand(3)  # whatever else draws is no part of it
        return dropout_mask(seed, name, step, rows=40, channels=11, p=0.3)

    assert torch.equal(of(), of())
    for other in (of(seed=4), of(name="b"), of(step=6)):
        assert not torch.equal(of(), other)


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
def test_what_is_kept_is_scaled_up(p: float) -> None:
    mask = dropout_mask(0, "a", 0, rows=200, channels=100, p=p)
    assert mask.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)])
    assert (mask == 0).double().mean().item() == pytest.approx(p, abs=0.02)


@pytest.mark.parametrize("shape", [(), (4, 3)], ids=["flat", "maps"])
@pytest.mark.parametrize("groups", [2, 3, 11])
def test_groups_drop_the_same_channels_together_as_the_whole(
    groups: int, shape: tuple[int, ...]
) -> None:
    x = drawn(6, 11, *shape)
    whole = dropout(0.4, 0, 1, step=2)(x)
    parts = [x[:, Span.of(11, g, groups).slice] for g in range(groups)]
    dropped = [dropout(0.4, g, groups, step=2)(part) for g, part in enumerate(parts)]
    assert torch.equal(torch.cat(dropped, dim=1), whole)
    factors = (whole / x).flatten(2) if shape else (whole / x).unsqueeze(2)
    assert torch.equal(factors.amax(dim=2).isclose(factors.amin(dim=2)), torch.ones(6, 11).bool())
    assert 0 < (whole == 0).double().mean() < 1
    assert not torch.equal(dropout(0.4, 0, 1, step=3)(x), whole)


def test_nothing_is_dropped_in_evaluation_or_at_zero() -> None:
    x = drawn(4, 11, 2, 2)
    assert torch.equal(dropout(0.4, 0, 1, step=2).eval()(x), x)
    assert torch.equal(dropout(0.0, 0, 1, step=2)(x), x)
    assert not [*dropout(0.4, 0, 1, step=2).parameters()]


# ── rates and updates ────────────────────────────────────────────────────────────────────────


def rates(config: OptimConfig, epochs: list[int]) -> list[float]:
    """The rate of the first step of each of these epochs, counted from 1."""
    rate = LearningRate(config=config, batch=128, steps_per_epoch=10)
    return [rate(10 * (epoch - 1)) for epoch in epochs]


def test_the_published_rates_of_vgg6a() -> None:
    """Adam, 1e-3, 5e-4 behind epoch 50, 1e-4 behind epoch 100 (3.4)."""
    config = OptimConfig(
        optimizer="adam", epochs=150, schedule="step", milestones=(50, 100), decay=(0.5, 0.2)
    )
    assert [*config.problems()] == []
    found = rates(config, [1, 50, 51, 100, 101, 150])
    assert found == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 1e-4, 1e-4], rel=1e-12)
    rate = LearningRate(config=config, batch=128, steps_per_epoch=10)
    assert rate(499) == pytest.approx(1e-3) and rate(500) == pytest.approx(5e-4)
    assert [replace(rate, config=replace(config, lr_every="epoch"))(s) for s in (499, 500)] == [
        rate(499), rate(500),
    ]  # fmt: skip


@pytest.mark.parametrize("milestones", [None, (80, 120)], ids=["default", "given"])
def test_the_published_rates_of_infopro_in_steps(milestones: tuple[int, ...] | None) -> None:
    """A tenth at epochs 80 and 120 of 160 (1.6): also what is meant without any milestones."""
    config = OptimConfig(epochs=160, schedule="step", lr=0.8, milestones=milestones)
    found = rates(config, [1, 80, 81, 120, 121, 160])
    assert found == pytest.approx([0.8, 0.8, 0.08, 0.08, 0.008, 0.008], rel=1e-12)


def test_rates_of_dgl_fall_to_a_fifth_three_times() -> None:
    config = OptimConfig(epochs=50, schedule="step", lr=0.1, milestones=(15, 30, 45), decay=(0.2,))
    found = rates(config, [15, 16, 31, 46])
    assert found == pytest.approx([0.1, 0.02, 0.004, 0.0008], rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 1e-2])
def test_adam_is_adam(decay: float) -> None:
    """Updates that change their rate, against torch's own Adam."""
    config = OptimConfig(optimizer="adam", weight_decay=decay)
    mine, theirs = (torch.nn.Linear(4, 3).double() for _ in range(2))
    theirs.load_state_dict(mine.state_dict())
    own = optimizer(mine.parameters(), config)
    adam = torch.optim.Adam(
        theirs.parameters(), lr=1.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay
    )
    for step, rate in enumerate([1e-3, 1e-3, 5e-4, 0.0, 1e-2]):
        x = drawn(6, 4, seed=step)
        loss = mine(x).square().mean()
        lesson = Lesson(losses={"task": loss}, logits=None)
        backward(own, lesson)
        values = advance(mine, own, rate=rate, clip_norm=None)
        assert values["lr"] == rate
        adam.param_groups[0]["lr"] = rate
        adam.zero_grad()
        theirs(x).square().mean().backward()
        adam.step()
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(a, b)


# ── accuracies (2) ───────────────────────────────────────────────────────────────────────────


def percent(probabilities: list[Tensor], labels: list[Tensor]) -> float:
    right = torch.cat(probabilities).argmax(dim=1) == torch.cat(labels)
    return 100 * right.double().mean().item()


@pytest.mark.parametrize("groups", [2, 4])
def test_a_single_thread_and_its_ensemble(groups: int) -> None:
    """Thin networks that learn alone: `member` is the first of them, `ensemble` their mean."""
    method = GNDGL(share="none", diversity=0, tail="aux")
    plan = planned(method, depth=1, groups=groups)
    assert not plan.grid.readout
    assert {route.name for route in plan.routes} == {"ballots", "permit"}
    workers, notebooks = lockstep(job_of(plan, method, steps=4, evaluate=True))
    feed = RandomFeed(2)
    labels = [feed.eval_labels("test", i) for i in range(2)]
    votes: list[list[Tensor]] = []
    for g in range(groups):
        module = workers[Address(0, g)].module.eval()
        with torch.no_grad():
            images = [feed.eval_images("test", i) for i in range(2)]
            votes.append([module.head(module.trunk(x)).softmax(dim=1) for x in images])
    together = [torch.stack(batch).mean(dim=0) for batch in zip(*votes, strict=True)]
    result = notebooks[Address(0, 0)].results[-1]
    assert result.images == 2 * EVAL - 1
    assert result.member == pytest.approx(percent(votes[0], labels))
    assert result.ensemble == pytest.approx(percent(together, labels))
    assert result.member != result.ensemble, "here they differ"
    assert result.rows == (pytest.approx(result.ensemble),)
    assert result.head is None
    chosen = torch.cat(together).gather(1, torch.cat(labels).unsqueeze(1))
    assert result.loss == pytest.approx(-chosen.log().mean().item())
    assert [notebook.results for address, notebook in notebooks.items() if address.g] == (
        [[]] * (groups - 1)
    )


def test_a_member_learns_as_it_would_without_the_others() -> None:
    """Group 0 alone: the same weights whether or not its peers evaluate, share or vote."""
    method = GNDGL(share="none", diversity=0, tail="aux")
    plan = planned(method, depth=1, groups=2)
    noisy, _ = lockstep(job_of(plan, method, steps=4, evaluate=True))
    silent, _ = lockstep(job_of(plan, method, steps=4))
    for address, module in states(noisy).items():
        for name, value in states(silent)[address].items():
            assert torch.equal(module[name], value)


def test_there_is_no_member_where_there_are_no_peers() -> None:
    for method, groups in ((GNDGL(tail="aux"), 1), (GNDGL(tail="head"), 2)):
        plan = planned(method, depth=1, groups=groups)
        _, notebooks = lockstep(job_of(plan, method, steps=2, evaluate=True))
        results = notebooks[plan.grid.rows[-1][0]].results
        assert results and all(result.member is None for result in results)
