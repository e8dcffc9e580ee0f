"""Which batch comes when, and with which learning rate."""

from itertools import pairwise, product

import pytest
import torch

from runtime.recipes import RECIPES
from tests.test_recipes import parsed
from workers.optim import LearningRate, OptimConfig
from workers.schedule import Schedule, Split, evaluation, training

TEST: dict[Split, int] = {"test": 2}
VAL: dict[Split, int] = {"val": 1, "test": 2}


def drawn(schedule: Schedule) -> str:
    """Training steps as numbers, evaluation batches as v or t; a bar between passes."""
    letters = [str(t.step) if t.split is None else t.split[0] for t in schedule.turns()]
    ends = ["|" if t.last else "" for t in schedule.turns()]
    return "".join(letter + end for letter, end in zip(letters, ends, strict=True))


@pytest.mark.parametrize(
    ("every", "splits", "max_steps", "expected"),
    [
        (1, TEST, None, "012|tt|345|tt|678|tt|"),
        (2, TEST, None, "012|345|tt|678|tt|"),
        (0, TEST, None, "012|345|678|"),
        (1, TEST, 4, "012|tt|3|tt|"),
        (5, TEST, 4, "012|3|tt|"),
        (1, VAL, None, "012|v|345|v|678|v|tt|"),
        (2, VAL, 4, "012|3|v|tt|"),
        (1, TEST, 99, "012|tt|345|tt|678|tt|"),
    ],
)
def test_the_turns_of_a_run(
    every: int, splits: dict[Split, int], max_steps: int | None, expected: str
) -> None:
    schedule = training(
        epochs=3, steps_per_epoch=3, max_steps=max_steps, eval_every=every, eval_turns=splits
    )
    assert drawn(schedule) == expected
    assert [turn.index for turn in schedule.turns()] == [*range(len(schedule))]


def test_turns_can_be_asked_for_from_anywhere() -> None:
    schedule = training(epochs=3, steps_per_epoch=3, max_steps=None, eval_every=1, eval_turns=TEST)
    every = [*schedule.turns()]
    for start in range(len(schedule) + 1):
        assert [*schedule.turns(start)] == every[start:]


def test_a_turn_knows_its_place() -> None:
    schedule = training(epochs=2, steps_per_epoch=3, max_steps=None, eval_every=1, eval_turns=TEST)
    turns = [*schedule.turns()]
    assert [turn.epoch for turn in turns] == [1] * 5 + [2] * 5
    assert [str(turn) for turn in turns[2:5]] == [
        "step 2",
        "evaluation batch 0",
        "evaluation batch 1",
    ]
    assert [turn.step for turn in turns[3:5]] == [3, 3]  # so many were trained
    assert [turn.first for turn in turns[:5]] == [True, False, False, True, False]


def test_an_evaluation_alone() -> None:
    schedule = evaluation(epoch=4, step=12, split="test", turns=3)
    assert drawn(schedule) == "ttt|"
    assert {(turn.epoch, turn.step) for turn in schedule.turns()} == {(4, 12)}


def test_a_schedule_without_turns_has_none() -> None:
    assert len(Schedule()) == 0 and [*Schedule().turns()] == []


@pytest.mark.parametrize("splits", [TEST, VAL], ids=["test", "val"])
@pytest.mark.parametrize("every", [0, 1, 2, 3, 5])
def test_every_turn_is_that_of_a_loop_over_the_epochs(every: int, splits: dict[Split, int]) -> None:
    """With one step per epoch and with three, cut short or not."""
    along: Split = "val" if "val" in splits else "test"
    for epochs, per_epoch, most in product((1, 3, 4), (1, 3), (1, 2, 4, 99)):
        schedule = training(
            epochs=epochs,
            steps_per_epoch=per_epoch,
            max_steps=most,
            eval_every=every,
            eval_turns=splits,
        )
        expected: list[tuple[int, int, int, Split | None]] = []
        steps = min(most, epochs * per_epoch)
        for step in range(steps):
            epoch = step // per_epoch + 1
            expected.append((epoch, step, step % per_epoch, None))
            ends = step + 1 == steps or (step + 1) % per_epoch == 0
            if every and ends and (epoch % every == 0 or step + 1 == steps):
                expected += ((epoch, step + 1, batch, along) for batch in range(splits[along]))
        if every and along == "val":
            expected += ((epoch, steps, batch, "test") for batch in range(splits["test"]))
        found = [(turn.epoch, turn.step, turn.batch, turn.split) for turn in schedule.turns()]
        assert found == expected
        assert len(schedule) == len(expected)


def test_no_number_of_epochs_takes_memory_or_time() -> None:
    many = training(
        epochs=10**15, steps_per_epoch=12, max_steps=None, eval_every=1, eval_turns=TEST
    )
    assert len(many) == 14 * 10**15
    last = many.turn(len(many) - 1)
    assert (last.epoch, last.step, last.split, last.last) == (10**15, 12 * 10**15, "test", True)
    with pytest.raises(IndexError):
        many.turn(len(many))


# ── learning rate ────────────────────────────────────────────────────────────────────────────

# Of the released code at 160 epochs and lr 0.8 (spec §1.6), by epoch counted from 1.
PUBLISHED = {
    1: 0.01,
    2: 0.0890,
    5: 0.3252,
    10: 0.7141,
    11: 0.7907,
    40: 0.6828,
    80: 0.4,
    120: 0.1172,
    159: 8e-5,
    160: 0.0,
}
PER_EPOCH = 49


def rate(batch: int = 1024, **settings: object) -> LearningRate:
    config = OptimConfig(**settings)  # type: ignore[arg-type]
    return LearningRate(config=config, batch=batch, steps_per_epoch=PER_EPOCH)


@pytest.mark.parametrize("epoch", PUBLISHED)
def test_set_once_per_epoch_the_rate_is_the_published_one(epoch: int) -> None:
    published = rate(epochs=160, lr=0.8, lr_every="epoch")
    steps = range((epoch - 1) * PER_EPOCH, epoch * PER_EPOCH)
    (value,) = {published(step) for step in steps}
    digits = 5 if epoch == 159 else 4
    assert round(value, digits) == PUBLISHED[epoch]


def test_followed_step_by_step_the_rate_is_smooth_and_ends_near_zero() -> None:
    smooth, coarse = rate(epochs=160, lr=0.8), rate(epochs=160, lr=0.8, lr_every="epoch")
    values = [smooth(step) for step in range(160 * PER_EPOCH)]
    assert values[0] == pytest.approx(0.01)
    assert max(abs(a - b) for a, b in pairwise(values)) < 0.08 / PER_EPOCH
    assert values[-1] == pytest.approx(0, abs=1e-9)
    for epoch in range(11, 161):  # after the warm-up both agree at the end of every epoch
        assert values[epoch * PER_EPOCH - 1] == pytest.approx(coarse(epoch * PER_EPOCH - 1))


@pytest.mark.parametrize(("batch", "peak"), [(1024, 0.8), (128, 0.1), (32, 0.025)])
def test_the_peak_follows_the_batch_unless_given(batch: int, peak: float) -> None:
    assert rate(batch).peak == pytest.approx(peak)
    assert rate(batch, lr=0.3).peak == 0.3


def test_a_tenth_after_half_and_after_three_quarters() -> None:
    tenths = rate(epochs=160, lr=0.8, schedule="step", lr_every="epoch")
    found = [tenths(epoch * PER_EPOCH) for epoch in (0, 79, 80, 119, 120, 159)]
    assert found == pytest.approx([0.8, 0.8, 0.08, 0.08, 0.008, 0.008])


def test_a_constant_rate_is_constant() -> None:
    constant = rate(epochs=3, lr=0.2, schedule="constant")
    assert {constant(step) for step in range(3 * PER_EPOCH)} == {0.2}


def test_without_warm_up_the_cosine_begins_at_its_peak() -> None:
    cold = rate(epochs=10, lr=0.5, warmup=0)
    assert cold(0) == pytest.approx(0.5, rel=1e-4)
    assert all(cold(s) >= cold(s + 1) for s in range(10 * PER_EPOCH - 1))


@pytest.mark.parametrize("name", ["dtp-simplevgg-cifar10", "backprop-lenet-mnist"])
def test_set_once_per_epoch_the_rate_of_dtp_is_torchs_cosine(name: str) -> None:
    """A period of 85 in 90 epochs, from 0.05 (dtp §1.8): up again at the end, by 2.7e-4."""
    config = parsed(f"{RECIPES[name]} --lr-every epoch").optim
    mine = LearningRate(config=config, batch=128, steps_per_epoch=PER_EPOCH)
    assert mine.peak == 0.05
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=85, eta_min=1e-5)
    rates: list[float] = []
    for epoch in range(90):
        (rate,) = {mine(step) for step in range(epoch * PER_EPOCH, (epoch + 1) * PER_EPOCH)}
        assert rate == pytest.approx(sgd.param_groups[0]["lr"], rel=1e-9)
        rates.append(rate)
        sgd.step()
        theirs.step()
    assert (rates[0], round(rates[85], 7), round(rates[89] - 1e-5, 5)) == (0.05, 1e-5, 2.7e-4)


def test_followed_step_by_step_the_cosine_begins_or_ends_where_it_is_read() -> None:
    start = rate(epochs=10, lr=0.5, warmup=0, lr_at="start")
    end = rate(epochs=10, lr=0.5, warmup=0)
    assert start(0) == 0.5 and end(10 * PER_EPOCH - 1) == pytest.approx(0, abs=1e-12)
    assert all(start(step + 1) == end(step) for step in range(10 * PER_EPOCH - 1))


def test_where_the_cosine_is_read_is_a_matter_of_the_cosine() -> None:
    for schedule in ("step", "constant"):
        (problem,) = OptimConfig(schedule=schedule, lr_at="start").problems()  # type: ignore[arg-type]
        assert problem.startswith(f"--lr-at belongs to --schedule cosine, not {schedule}")
