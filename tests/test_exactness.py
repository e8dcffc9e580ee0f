"""The promise: a grid of modules computes exactly what one monolithic network would.

The reference (tests/reference.py) imports only torch: one network with grouped convolutions, one
joint loss, plain autograd. Float64, four SGD steps with momentum, the last batch smaller, 1e-12.
"""

import itertools
import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.grids import (
    BATCH,
    CLASSES,
    IMAGE,
    OPTIM,
    RandomFeed,
    ballots_kept,
    job_of,
    lockstep,
    planned,
    states,
)
from tests.reference import Monolith, ensemble, load_plain, plain_resnet, plain_state, train
from workers.ballot import ensemble as voted
from workers.methods.backprop import Backprop
from workers.methods.dgl import DGL
from workers.methods.gn_dgl import GNDGL
from workers.optim import LearningRate

GRIDS = [(1, 2), (2, 1), (2, 2), (4, 2), (3, 4), (2, 8)]
STEPS = 4
WIDTHS = (16, 16, 32, 64)
CUTS = {1: (), 2: (2,), 3: (2, 3), 4: (1, 2, 3)}  # "even" on the four blocks of a ResNet-8


def batches() -> list[tuple[Tensor, Tensor]]:
    feed = RandomFeed(2)
    return [(feed.images(step), feed.labels(step)) for step in range(STEPS)]


def rates() -> list[float]:
    rate = LearningRate(config=OPTIM, batch=BATCH, steps_per_epoch=2)
    return [rate(step) for step in range(STEPS)]


def monolith(method: GNDGL | DGL, depth: int, groups: int, factor: float = 2.0) -> Monolith:
    grouped = isinstance(method, GNDGL)
    return Monolith(
        blocks=1,
        widths=WIDTHS,
        cuts=CUTS[depth],
        groups=groups,
        image=IMAGE,
        classes=CLASSES,
        share=method.share if grouped else "none",
        pool=method.pool if grouped else 8,
        diversity=method.diversity if grouped else 0.0,
        temperature=method.temperature if grouped else 1.0,
        tail=method.tail,
        diversity_factor=factor,
    ).double()


def worst(a: dict[str, dict[str, Tensor]], b: dict[str, dict[str, Tensor]]) -> float:
    assert a.keys() == b.keys()
    differences = [0.0]
    for address in a:
        assert a[address].keys() == b[address].keys(), address
        for name in a[address]:
            differences.append(float((a[address][name] - b[address][name]).abs().max()))
    return max(differences)


def compare(
    method: GNDGL | DGL, depth: int, groups: int, *, window: int, seed: int, factor: float = 2.0
) -> float:
    """The largest difference of weights, statistics and losses after four steps."""
    plan = planned(method, depth=depth, groups=groups, window=window)
    fresh, _ = lockstep(job_of(plan, method, steps=0))
    reference = monolith(method, depth, groups, factor)
    reference.load(states(fresh))
    expected = train(
        reference, batches(), lr=rates(), momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    delays = random.Random(seed)  # whoever can go on may be made to wait
    workers, notebooks = lockstep(
        job_of(plan, method, steps=STEPS), pick=lambda able: delays.randrange(len(able))
    )
    losses = [
        abs(notebooks[address].lessons[step]["task"] - expected[step][str(address)])
        for step in range(STEPS)
        for address in workers
    ]
    return max(worst(states(workers), reference.states()), *losses)


@pytest.mark.parametrize("diversity", [0.0, 0.5], ids=["plain", "diverse"])
@pytest.mark.parametrize("share", ["none", "maps", "pooled"])
@pytest.mark.parametrize(("depth", "groups"), GRIDS)
def test_gn_dgl_in_memory(depth: int, groups: int, share: str, diversity: float) -> None:
    method = GNDGL(share=share, pool=4, diversity=diversity, temperature=3.0)  # type: ignore[arg-type]
    for window in (1, 2, 8):
        assert compare(method, depth, groups, window=window, seed=window) < 1e-12


@pytest.mark.parametrize(("depth", "groups"), [(2, 2), (3, 4)])
@pytest.mark.parametrize("share", ["none", "maps"])
def test_gn_dgl_with_a_linear_tail(depth: int, groups: int, share: str) -> None:
    method = GNDGL(share=share, tail="fc")  # type: ignore[arg-type]
    assert compare(method, depth, groups, window=2, seed=0) < 1e-12


@pytest.mark.parametrize("tail", ["fc", "head"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_dgl_in_memory(depth: int, tail: str) -> None:
    method = DGL(tail=tail)  # type: ignore[arg-type]
    assert compare(method, depth, 1, window=2, seed=depth) < 1e-12


def test_the_comparison_notices_a_missing_factor_two() -> None:
    """Negative control: the diversity term as Eq. (1) literally reads, at half its weight."""
    assert compare(GNDGL(pool=4), 4, 2, window=2, seed=0, factor=1.0) > 1e-6


@pytest.mark.parametrize("method", [Backprop(), DGL(tail="fc")], ids=["backprop", "dgl"])
def test_one_module_is_plain_backprop(method: Backprop | DGL) -> None:
    plan = planned(method, depth=1, groups=1)
    fresh, _ = lockstep(job_of(plan, method, steps=0))
    network = plain_resnet(1, WIDTHS, IMAGE[0], CLASSES).double()
    load_plain(network, states(fresh)["k0g0"])
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    for (images, labels), rate in zip(batches(), rates(), strict=True):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    workers, _ = lockstep(job_of(plan, method, steps=STEPS))
    assert worst(states(workers), {"k0g0": plain_state(network)}) < 1e-12


@pytest.mark.parametrize(
    "method", [GNDGL(pool=4), GNDGL(share="none"), GNDGL(tail="fc"), DGL()], ids=str
)
def test_evaluation_votes_like_the_monolith_and_changes_nothing(method: GNDGL | DGL) -> None:
    groups = 1 if isinstance(method, DGL) else 2
    plan = planned(method, depth=2, groups=groups)
    with ballots_kept() as ballots:
        workers, notebooks = lockstep(job_of(plan, method, steps=STEPS, evaluate=True))
    silent, _ = lockstep(job_of(plan, method, steps=STEPS))
    assert worst(states(workers), states(silent)) == 0.0
    reference = monolith(method, 2, groups)
    reference.load(states(workers))
    feed = RandomFeed(2)
    votes = [reference.votes(feed.eval_images("test", i)) for i in range(2)]
    joined = [torch.cat(parts) for parts in zip(*votes, strict=True)]
    ballot = torch.cat(ballots[-2:])
    assert float((ballot - torch.stack(joined, dim=1)).abs().max()) < 1e-12
    assert float((voted(ballot) - ensemble(joined)).abs().max()) < 1e-12
    labels = torch.cat([feed.eval_labels("test", i) for i in range(2)])
    expected = [
        100 * float((p.argmax(1) == labels).double().mean()) for p in (*joined, ensemble(joined))
    ]
    result = notebooks[plan.grid.rows[-1][0]].results[-1]
    heads = [] if result.head is None else [result.head]
    assert [*result.rows, *heads, result.ensemble] == pytest.approx(expected)
    right = joined[-1].gather(1, labels[:, None]).log().mean()
    assert result.loss == pytest.approx(-float(right), abs=1e-12)


@pytest.mark.parametrize("predictors", [1, 2, 3, 5, 17])
def test_the_ensemble_averages_what_was_voted(predictors: int) -> None:
    """Predictor m of M weighs 2^m / (2^M - 1) (1.8): as probabilities, not only as answers."""
    source = torch.Generator().manual_seed(predictors)
    ballot = torch.rand(7, predictors, CLASSES, generator=source, dtype=torch.float64).softmax(2)
    together = voted(ballot)
    assert float((together - ensemble([*ballot.unbind(1)])).abs().max()) < 1e-12
    torch.testing.assert_close(together.sum(dim=1), torch.ones(7, dtype=torch.float64))


@pytest.mark.parametrize(("depth", "groups"), [(1, 1), (2, 2), (4, 4), (1, 8)])
def test_every_grid_starts_from_the_same_network(depth: int, groups: int) -> None:
    """Weights are drawn whole and sliced: cuts, groups and ranks do not change them."""
    whole, _ = lockstep(job_of(planned(Backprop(), depth=1, groups=1), Backprop(), steps=0))
    full = states(whole)["k0g0"]
    method = GNDGL()
    grid, _ = lockstep(job_of(planned(method, depth=depth, groups=groups), method, steps=0))
    seen = set()
    for address, state in states(grid).items():
        g = int(address.split("g")[1])
        for name, tensor in state.items():
            if not name.startswith("trunk.") or "conv" not in name:
                continue
            seen.add(name)
            out, read = tensor.shape[:2]
            rows = full[name][g * out : (g + 1) * out]
            columns = slice(None) if read == rows.shape[1] else slice(g * read, (g + 1) * read)
            assert torch.equal(tensor, rows[:, columns]), f"{address} {name}"
    assert seen == {name for name in full if name.startswith("trunk.") and "conv" in name}


def test_all_pairs_of_heads_differ() -> None:
    grid, _ = lockstep(job_of(planned(GNDGL(), depth=2, groups=4), GNDGL(), steps=0))
    heads = [state["head.fc1.weight"] for name, state in states(grid).items() if name != "k2g0"]
    assert not any(
        torch.equal(a, b) for a, b in itertools.combinations(heads, 2) if a.shape == b.shape
    )


def test_a_clipped_gradient_is_clipped_per_module() -> None:
    method, optim = DGL(), replace(OPTIM, clip_norm=0.1)
    plan = planned(method, depth=2, groups=1)
    _, notebooks = lockstep(job_of(plan, method, steps=2, optim=optim))
    workers, _ = lockstep(job_of(plan, method, steps=1, optim=optim))
    assert all(book.lessons[0]["norm"] > 0.1 for book in notebooks.values())
    for worker in workers.values():
        clipped = [p.grad for p in worker.module.parameters() if p.grad is not None]
        assert float(torch.nn.utils.get_total_norm(clipped)) == pytest.approx(0.1, rel=1e-4)
