"""Datasets: prepared once, then the same bytes for the same (seed, step); bad ones are refused."""

import os
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tyro
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from comm.errors import BadInput
from partition.data_spec import DataSpec
from workers.data.augment import Augmentation, Draws, augmented, chosen, drawn
from workers.data.batches import check_batches
from workers.data.config import DataConfig
from workers.data.feed import Feed
from workers.data.prepare import prepare
from workers.data.prepared import Prepared, write
from workers.data.source import Contents

ROOT = Path(__file__).parent.parent
TRAIN, TEST = 23, 7
PLAIN = DataConfig(augment="none", batch=5, eval_batch=3)


def contents(train: int = TRAIN, *, shape: tuple[int, int, int] = (2, 6, 5)) -> Contents:
    """Random images; every label is the image's own number, so that a batch tells its images."""
    rng = np.random.default_rng(0)
    return Contents(
        classes=tuple(map(str, range(train))),
        train_images=rng.integers(0, 256, (train, *shape), np.uint8),
        train_labels=np.arange(train),
        test_images=rng.integers(0, 256, (TEST, *shape), np.uint8),
        test_labels=np.arange(TEST),
        augmentation=Augmentation(padding="reflect", pad=2, flip=True),
    )


def written(folder: Path, what: Contents) -> Prepared:
    write(folder, "numbers", what)
    return Prepared(folder)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return written(tmp_path_factory.mktemp("cache") / "numbers", contents())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("LOCI_CACHE", str(folder))
    return folder


def epoch(feed: Feed, number: int) -> list[int]:
    """The training images of one epoch, in the order in which they are seen."""
    steps = range(number * feed.steps_per_epoch, (number + 1) * feed.steps_per_epoch)
    return [label for step in steps for label in feed.labels(step).tolist()]


def val_images(feed: Feed) -> list[int]:
    batches = (feed.eval_labels("val", index) for index in range(feed.eval_steps("val")))
    return [label for batch in batches for label in batch.tolist()]


def refusal(config: DataConfig) -> tuple[str, ...]:
    with pytest.raises(BadInput) as caught:
        prepare(config)
    return caught.value.problems


# ---- a pure function of (seed, step)


@settings(max_examples=30, deadline=None)
@given(
    asked=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), max_size=8),
    step=st.integers(0, 40),
    seed=st.integers(0, 2**40),
)
def test_a_batch_does_not_depend_on_what_was_asked_before(
    prepared: Prepared, asked: list[tuple[int, int]], step: int, seed: int
) -> None:
    config = DataConfig(batch=5, eval_batch=3, val_split=0.2)
    used = Feed(prepared, config, seed=seed)
    for other, what in asked:
        if what == 0:
            used.images(other)
        elif what == 1:
            used.labels(other)
        else:
            used.eval_images("val", other % used.eval_steps("val"))
    fresh = Feed(prepared, config, seed=seed)
    images, labels = fresh.images(step), fresh.labels(step)
    assert torch.equal(used.images(step), images)
    assert torch.equal(used.labels(step), labels)
    assert used.rows(step) == len(labels) == len(images)


def test_the_draws_are_those_of_every_other_machine() -> None:
    """Fixed for good: two hosts of one run may have different versions of numpy."""
    draws = drawn(4, Augmentation(pad=4, flip=True), seed=1, step=2)
    seen = (draws.top.tolist(), draws.left.tolist(), draws.flip.tolist())
    assert seen == ([5, 4, 6, 2], [0, 6, 2, 5], [False, False, True, False])


def test_seeds_steps_and_epochs_differ(prepared: Prepared) -> None:
    feed, other = (Feed(prepared, PLAIN, seed=seed) for seed in (0, 1))
    assert epoch(feed, 0) != epoch(feed, 1)
    assert epoch(feed, 0) != epoch(other, 0)
    how = Augmentation(pad=4, flip=True)
    first, second = (drawn(64, how, seed=0, step=step) for step in (0, 1))
    assert not np.array_equal(first.top, second.top)
    assert not np.array_equal(first.flip, second.flip)


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 30),
    drop_last=st.booleans(),
    val_split=st.sampled_from([0.0, 0.1, 0.5]),
    seed=st.integers(0, 99),
    number=st.integers(0, 3),
)
def test_an_epoch_covers_every_image_once(
    prepared: Prepared, batch: int, drop_last: bool, val_split: float, seed: int, number: int
) -> None:
    config = replace(PLAIN, batch=batch, drop_last=drop_last, val_split=val_split)
    feed = Feed(prepared, config, seed=seed)
    held = val_images(feed) if val_split else []
    left = sorted(set(range(TRAIN)) - set(held))
    steps = range(number * feed.steps_per_epoch, (number + 1) * feed.steps_per_epoch)
    rows = [feed.rows(step) for step in steps]
    assert rows == [len(feed.labels(step)) for step in steps]
    seen = epoch(feed, number)
    if drop_last:
        assert rows == [batch] * (len(left) // batch)
        assert len(set(seen)) == len(seen) and set(seen) <= set(left)
    else:
        full, rest = divmod(len(left), batch)
        assert rows == [batch] * full + [rest] * (rest > 0)
        assert sorted(seen) == left


@given(val_split=st.floats(0.05, 0.9), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_validation_and_training_images_are_disjoint(
    prepared: Prepared, val_split: float, seed: int
) -> None:
    feed = Feed(prepared, replace(PLAIN, val_split=val_split), seed=seed)
    held = val_images(feed)
    assert len(held) == round(TRAIN * val_split)
    assert sorted(held + epoch(feed, 0)) == list(range(TRAIN))
    assert held == sorted(held)
    stored = torch.from_numpy(prepared.train_images[held[:3]].astype(np.float64))
    assert torch.equal(feed.eval_images("val", 0), normalised(prepared, stored))


def test_evaluation_is_in_order_and_not_augmented(prepared: Prepared) -> None:
    feed = Feed(prepared, DataConfig(eval_batch=3), seed=0)
    assert feed.eval_steps("test") == 3
    labels = [feed.eval_labels("test", index).tolist() for index in range(3)]
    assert labels == [[0, 1, 2], [3, 4, 5], [6]]
    images = torch.cat([feed.eval_images("test", index) for index in range(3)])
    stored = torch.from_numpy(prepared.test_images.astype(np.float64))
    assert torch.equal(images, normalised(prepared, stored))
    with pytest.raises(IndexError):
        feed.eval_labels("test", 3)
    with pytest.raises(KeyError):
        feed.eval_steps("val")


# ---- augmentation and normalisation


def normalised(prepared: Prepared, images: torch.Tensor) -> torch.Tensor:
    """The float32 definition, written plainly."""
    mean, std = (torch.tensor(v).reshape(-1, 1, 1) for v in (prepared.mean, prepared.std))
    return (images.float() / 255 - mean) / std


def slow_crop(image: np.ndarray, how: Augmentation, top: int, left: int, flip: bool) -> np.ndarray:
    """Pixel by pixel: where in the stored image does each pixel of the crop come from?"""
    channels, height, width = image.shape

    def source(at: int, size: int) -> int | None:
        if how.padding == "zero":
            return at if 0 <= at < size else None
        if how.padding == "edge":
            return min(max(at, 0), size - 1)
        period = max(2 * (size - 1), 1)  # a mirror on both sides, the edge itself not repeated
        at = at % period
        return at if at < size else period - at

    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            row = source(y + top - how.pad, height)
            column = source((width - 1 - x if flip else x) + left - how.pad, width)
            if row is not None and column is not None:
                out[:, y, x] = image[:, row, column]
    assert out.shape[0] == channels
    return out


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 6),
    shape=st.tuples(st.integers(1, 3), st.integers(2, 7), st.integers(2, 7)),
    padding=st.sampled_from(["reflect", "zero", "edge"]),
    pad=st.integers(0, 9),
    flip=st.booleans(),
    step=st.integers(0, 1000),
)
def test_crops_and_flips_equal_the_slow_ones(
    rows: int, shape: tuple[int, int, int], padding: Any, pad: int, flip: bool, step: int
) -> None:
    how = Augmentation(padding=padding, pad=pad, flip=flip)
    images = np.random.default_rng(step).integers(0, 256, (rows, *shape), np.uint8)
    before = images.copy()
    draws = drawn(rows, how, seed=7, step=step)
    slow = [
        slow_crop(image, how, int(draws.top[row]), int(draws.left[row]), bool(draws.flip[row]))
        for row, image in enumerate(images)
    ]
    fast = augmented(images, how, draws)
    assert np.array_equal(fast, np.stack(slow))
    assert fast.flags.c_contiguous and np.array_equal(images, before)


def test_draws_reach_every_crop_and_mirror_half() -> None:
    draws = drawn(20_000, Augmentation(pad=2, flip=True), seed=0, step=0)
    for places in (draws.top, draws.left):
        counts = np.bincount(places)
        assert len(counts) == 5 and counts.min() > 3700
    assert 0.48 < draws.flip.mean() < 0.52
    assert not drawn(100, Augmentation(pad=2), seed=0, step=0).flip.any()


def test_a_flip_is_a_mirror_image() -> None:
    images = np.arange(12, dtype=np.uint8).reshape(2, 1, 2, 3)
    zeros = np.zeros(2, np.int64)
    draws = Draws(top=zeros, left=zeros, flip=np.array([False, True]))
    out = augmented(images, Augmentation(flip=True), draws)
    assert out[0, 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert out[1, 0].tolist() == [[8, 7, 6], [11, 10, 9]]


def test_augmentation_as_asked() -> None:
    usual = Augmentation(padding="zero", pad=2, flip=False)
    assert chosen(DataConfig(), usual) == usual
    assert not chosen(DataConfig(augment="none"), usual)
    assert chosen(DataConfig(augment="none", flip="on"), usual) == Augmentation(flip=True)
    assert chosen(DataConfig(augment="reflect"), usual) == replace(usual, padding="reflect")
    assert chosen(DataConfig(augment="reflect"), Augmentation()).pad == 4
    assert chosen(DataConfig(pad=3, flip="on"), usual) == Augmentation(pad=3, flip=True)
    assert not chosen(DataConfig(pad=0), usual)


def test_every_step_draws_its_own_crops_and_mirrors(prepared: Prepared) -> None:
    """The batch of a step is its images, augmented by what (seed, step) draws: in any epoch."""
    feed, how = Feed(prepared, DataConfig(batch=5), seed=3), prepared.augmentation
    for step in (0, 1, feed.steps_per_epoch, 2 * feed.steps_per_epoch + 1):
        members = prepared.train_images[feed.labels(step).numpy()]
        made = augmented(members, how, drawn(len(members), how, seed=3, step=step))
        assert not np.array_equal(made, members)
        expected = normalised(prepared, torch.from_numpy(made.astype(np.float64)))
        assert torch.equal(feed.images(step), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_normalisation(prepared: Prepared, dtype: torch.dtype) -> None:
    config = replace(PLAIN, mean=(0.25, 0.5), std=(0.5, 2.0))
    feed = Feed(prepared, config, seed=0, dtype=dtype)
    images, labels = feed.images(0), feed.labels(0)
    stored = torch.from_numpy(prepared.train_images[labels.numpy()].astype(np.float64))
    mean, std = torch.tensor([0.25, 0.5]), torch.tensor([0.5, 2.0])
    exact = (stored / 255 - mean.reshape(-1, 1, 1)) / std.reshape(-1, 1, 1)
    tolerance = {torch.float32: 1e-6, torch.float64: 1e-15, torch.bfloat16: 4e-3}[dtype]
    assert images.dtype == dtype and images.is_contiguous() and labels.dtype == torch.int64
    assert torch.allclose(images.double(), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_normalisation_can_be_undone(prepared: Prepared, dtype: torch.dtype) -> None:
    feed = Feed(prepared, replace(PLAIN, mean=(0.2, 0.7), std=(0.3, 1.7)), seed=0, dtype=dtype)
    stored = torch.from_numpy(prepared.train_images[feed.labels(0).numpy()].astype(np.float64))
    images = feed.images(0)
    before = images.clone()
    pixels = feed.denormalised(images)
    tolerance = {torch.float32: 1e-6, torch.float64: 1e-15, torch.bfloat16: 2e-2}[dtype]
    assert torch.allclose(pixels.double(), stored / 255, rtol=0, atol=tolerance)
    assert pixels.min() >= 0 and pixels.max() <= 1  # where rounding would lead outside as well
    assert torch.equal(feed.denormalised(images[3]), pixels[3]) and torch.equal(images, before)


def test_moments_are_those_of_the_training_images(tmp_path: Path) -> None:
    what = contents(300)
    what.train_images[:, 1] = 9  # a channel without any contrast must not divide by zero
    got = written(tmp_path / "x", what)
    pixels = what.train_images[:, 0] / 255
    assert got.mean == pytest.approx((pixels.mean(), 9 / 255), abs=1e-12)
    assert got.std == pytest.approx((pixels.std(), 1.0), abs=1e-12)
    feed = Feed(got, PLAIN, seed=0)
    assert torch.isfinite(feed.images(0)).all()
    assert feed.images(0)[:, 1].abs().max() < 1e-6


# ---- the prepared folder


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    what = contents()
    got = written(tmp_path / "x", what)
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        assert np.array_equal(getattr(got, name), getattr(what, name))
    digest = got.spec.digest
    assert got.spec == DataSpec(
        name="numbers", shape=(2, 6, 5), classes=TRAIN, train=TRAIN, test=TEST, digest=digest
    )
    assert got.augmentation == what.augmentation and got.classes == what.classes
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    with pytest.raises(ValueError, match="read-only"):
        got.train_images[0] = 0


def test_one_pixel_one_label_or_one_name_changes_the_digest(tmp_path: Path) -> None:
    original = written(tmp_path / "0", contents()).spec.digest
    assert written(tmp_path / "1", contents()).spec.digest == original
    pixel, label = contents(), contents()
    pixel.test_images[3, 1, 5, 4] ^= 1
    label.test_labels[2] += 1
    name = replace(contents(), classes=("?", *contents().classes[1:]))
    others = [written(tmp_path / "2", what).spec.digest for what in (pixel, label, name)]
    assert len({original, *others}) == 4


def test_an_interrupted_writer_leaves_nothing_that_could_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(OSError, match="no space"):
            write(tmp_path / "x", "numbers", contents())
    assert list(tmp_path.iterdir()) == []
    killed = tmp_path / ".x.0123"  # what a writer that was killed leaves
    killed.mkdir()
    write(tmp_path / "x", "numbers", contents())
    assert not killed.exists()


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_built_in_datasets(name: str, cache: Path) -> None:
    config = DataConfig(dataset=name)
    folder = prepare(config)
    assert folder.parent == cache
    got = Prepared(folder)
    channels = {"digits": 1, "synthetic": 3}[name]
    assert got.spec.shape == (channels, 32, 32) and got.spec.classes == 10
    assert (got.spec.train, got.spec.test) == {"digits": (1438, 359), "synthetic": (2048, 512)}[
        name
    ]
    assert np.bincount(got.test_labels).min() >= 34
    assert prepare(config) == folder
    assert prepare(replace(config, batch=7, val_split=0.1)) == folder
    smaller = Prepared(prepare(replace(config, image_size=12)))
    assert smaller.spec.shape == (channels, 12, 12)
    assert not check_batches(config, got.spec)

    # a class can be told by the mean image that is nearest: there is something to learn
    flat = got.train_images.reshape(got.spec.train, -1).astype(np.float32)
    means = np.stack([flat[got.train_labels == label].mean(axis=0) for label in range(10)])
    test = got.test_images.reshape(got.spec.test, 1, -1).astype(np.float32)
    nearest = np.square(test - means).sum(axis=2).argmin(axis=1)
    assert (nearest == got.test_labels).mean() > 0.8


@pytest.mark.parametrize("damage", ["truncated", "missing", "card", "dtype"])
def test_a_damaged_entry_is_rebuilt(damage: str) -> None:
    config = DataConfig(dataset="synthetic", image_size=4)
    folder = prepare(config)
    digest = Prepared(folder).spec.digest
    images, card = folder / "train_images.npy", folder / "dataset.json"
    match damage:
        case "truncated":
            os.truncate(images, images.stat().st_size - 1)
        case "missing":
            images.unlink()
        case "card":
            card.write_text(card.read_text().replace('"classes"', '"klasses"'))
        case _:
            np.save(images, np.load(images).astype(np.int16))
    with pytest.raises(BadInput, match="not a prepared dataset"):
        Prepared(folder)
    assert prepare(config) == folder
    assert Prepared(folder).spec.digest == digest


def test_a_pickle_in_the_cache_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    write(folder, "numbers", contents())
    labels = np.array([os.getcwd] * TRAIN, dtype=object)
    np.save(folder / "train_labels.npy", labels, allow_pickle=True)
    with pytest.raises(BadInput, match="not a prepared dataset"):
        Prepared(folder)


def test_a_cache_that_cannot_be_written_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOCI_CACHE", str(tmp_path / "file" / "cache"))
    (problem,) = refusal(DataConfig())
    assert "set LOCI_CACHE" in problem and str(tmp_path) in problem


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = DataConfig(dataset="synthetic", image_size=2)
    monkeypatch.delenv("LOCI_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert prepare(config).parent == tmp_path / "home" / ".cache" / "loci"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert prepare(config).parent == tmp_path / "xdg" / "loci"


def test_processes_that_read_need_no_image_library() -> None:
    folder = prepare(DataConfig(dataset="synthetic", image_size=4))
    code = f"""
import sys
from pathlib import Path
from workers.data.config import DataConfig
from workers.data.prepared import Prepared
assert "torch" not in sys.modules
prepared = Prepared(Path({str(folder)!r}))
from workers.data.feed import Feed
from workers.data.prepare import prepare
Feed(prepared, DataConfig(augment="zero", flip="on"), seed=0).images(0)
print([name for name in ("PIL", "sklearn", "torchvision") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[]\n", done.stderr


# ---- folders of images


def image(path: Path, size: tuple[int, int] = (6, 5), mode: str = "RGB", seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels, mode).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes, three training images and one test image each."""
    root = tmp_path / "pictures"
    for number, name in enumerate(("cat", "dog")):
        for index in range(3):
            image(root / "train" / name / f"{index}.png", seed=10 * number + index)
        image(root / "test" / name / "0.png", seed=10 * number + 9)
    return root


def of(root: Path, **fields: Any) -> DataConfig:
    return DataConfig(dataset="folder", data_dir=root, **fields)


def test_a_folder_of_images(pictures: Path) -> None:
    image(pictures / "train" / "cat" / "grey.png", mode="L", seed=5)
    (pictures / "train" / ".DS_Store").touch()
    (pictures / "train" / "cat" / "Thumbs.db").touch()
    (pictures / "train" / "README").write_text("not a class")
    got = Prepared(prepare(of(pictures)))
    assert got.spec.shape == (3, 5, 6) and got.classes == ("cat", "dog")
    assert got.train_labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert got.test_labels.tolist() == [0, 1]
    first = np.asarray(Image.open(pictures / "train" / "cat" / "0.png"))
    assert np.array_equal(got.train_images[0], first.transpose(2, 0, 1))
    grey = np.asarray(Image.open(pictures / "train" / "cat" / "grey.png"))
    assert np.array_equal(got.train_images[3], np.stack([grey] * 3))
    assert got.augmentation == Augmentation(padding="reflect", pad=4, flip=True)


def test_a_folder_is_prepared_again_only_when_it_changed(pictures: Path) -> None:
    first = prepare(of(pictures))
    assert prepare(of(pictures)) == first
    image(pictures / "train" / "cat" / "0.png", seed=99)
    second = prepare(of(pictures))
    assert second != first
    assert Prepared(second).spec.digest != Prepared(first).spec.digest
    assert prepare(of(pictures, image_size=8)) not in (first, second)


def test_images_of_any_size_with_image_size(pictures: Path) -> None:
    image(pictures / "test" / "dog" / "large.jpg", size=(40, 30))
    got = Prepared(prepare(of(pictures, image_size=8)))
    assert got.spec.shape == (3, 8, 8) and got.spec.test == 3


def test_every_problem_of_a_folder_at_once(pictures: Path) -> None:
    image(pictures / "train" / "cow" / "0.png")
    image(pictures / "test" / "eel" / "0.png")
    (pictures / "train" / "fox").mkdir()
    (pictures / "test" / "fox").mkdir()
    (pictures / "train" / "cat" / "broken.png").write_bytes(b"not an image")
    (pictures / "train" / "cat" / "1.png").write_bytes(
        (pictures / "train" / "cat" / "0.png").read_bytes()[:60]
    )
    Image.fromarray(np.zeros((5, 6), np.float32)).save(pictures / "train" / "cat" / "deep.tif")
    image(pictures / "train" / "dog" / "wide.png", size=(9, 5))
    (pictures / "train" / "dog" / "more").mkdir()
    (pictures / "test" / "dog" / "link.png").symlink_to(pictures / "nowhere.png")
    text = "\n".join(refusal(of(pictures, image_size=-1)))
    for expected in (
        "--image-size -1",
        "class cow is in train/ but not in test/",
        "class eel is in test/ but not in train/",
        "train/fox/ holds no image",
        "test/fox/ holds no image",
        "train/cat/broken.png cannot be read",
        "train/cat/1.png cannot be read",
        "train/cat/deep.tif cannot be read",
        "train/dog/wide.png is 9x5 and others are 6x5: give --image-size",
        "train/dog/more is a folder",
        "test/dog/link.png is no file",
    ):
        assert expected in text
    assert len(text.splitlines()) == 11


def test_unreadable_images_are_named_without_other_problems(pictures: Path, cache: Path) -> None:
    (pictures / "train" / "cat" / "1.png").write_bytes(b"")
    (problem,) = refusal(of(pictures))
    assert problem.startswith("train/cat/1.png cannot be read as an image")
    assert str(pictures) not in problem
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_many_problems_of_one_kind_are_counted(pictures: Path) -> None:
    for index in range(25):
        (pictures / "train" / "cat" / f"bad{index:02}.png").write_bytes(b"?")
    problems = refusal(of(pictures))
    assert len(problems) == 11
    assert problems[0].startswith("train/cat/bad00.png")
    assert problems[-1] == "... and 15 more images that cannot be read"


def test_a_folder_without_splits(tmp_path: Path) -> None:
    image(tmp_path / "cat" / "0.png")
    train, test = refusal(of(tmp_path))
    assert "no folder train/" in train and "no folder test/" in test
    (missing,) = refusal(of(tmp_path / "nowhere"))
    assert "does not exist" in missing
    (unsaid,) = refusal(DataConfig(dataset="folder"))
    assert "--data-dir" in unsaid


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    image(tmp_path / "train" / "cat" / "0.png")
    image(tmp_path / "test" / "cat" / "0.png")
    (problem,) = refusal(of(tmp_path))
    assert "has 1 class: give two or more" in problem


def test_a_read_only_folder_is_enough(pictures: Path) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        paths = sorted(pictures.rglob("*"))
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    before = state()
    folders = [pictures, *(path for path in pictures.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert Prepared(prepare(of(pictures))).spec.train == 6
        assert state() == before
    finally:
        for path in folders:
            path.chmod(stat.S_IRWXU)


def test_processes_that_start_at_once_decode_once(pictures: Path, tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
import workers.data.folder as folder
from workers.data.config import DataConfig
from workers.data.prepare import prepare
here, real = Path({str(tmp_path)!r}), folder.decode
def counted(*arguments):
    with (here / "decoded").open("a") as log:
        log.write("x")
    time.sleep(0.5)
    return real(*arguments)
folder.decode = counted
(here / f"ready{{sys.argv[1]}}").touch()
while not (here / "go").exists():
    time.sleep(0.01)
print(prepare(DataConfig(dataset="folder", data_dir=Path({str(pictures)!r}))))
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for number in range(3)
    ]
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("ready*"))) < len(started):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (tmp_path / "go").touch()
        folders = {process.communicate(timeout=60)[0].strip() for process in started}
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert folders == {str(prepare(of(pictures)))}
    assert (tmp_path / "decoded").read_text() == "x"


# ---- the configuration


def test_an_unknown_dataset_is_answered_with_the_names() -> None:
    (problem,) = refusal(DataConfig(dataset="cifar-10"))
    assert "did you mean cifar10 or cifar100?" in problem
    (problem,) = refusal(DataConfig(dataset="fashionmnist"))
    assert "did you mean fashion-mnist?" in problem
    (problem,) = refusal(DataConfig(dataset="?"))
    assert "did you mean" not in problem
    names = "cifar10 cifar100 digits fashion-mnist folder imagenet32 mnist stl10 svhn synthetic"
    assert ", ".join(names.split()) in problem


def test_a_folder_for_a_dataset_that_reads_none_is_a_mistake(tmp_path: Path) -> None:
    (problem,) = refusal(DataConfig(data_dir=tmp_path))
    assert "add --dataset folder" in problem


SPEC = DataSpec(name="x", shape=(3, 8, 8), classes=2, train=101, test=5, digest="")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"batch": 32}, []),
        ({"batch": 101}, []),
        ({"batch": 102}, ["--batch 102 is more than the 101 training images"]),
        ({"batch": 100, "val_split": 0.2}, ["--batch 100 is more than the 81 training images"]),
        ({"batch": 25}, ["--drop-last or give another --batch"]),
        ({"batch": 25, "drop_last": True}, []),
        ({"batch": 40, "val_split": 0.2}, ["leaves the last of 81 training images alone"]),
        ({"batch": 1}, ["--batch 1: BatchNorm"]),
        ({"batch": 0, "eval_batch": 0}, ["--batch 0", "--eval-batch 0"]),
        ({"batch": 8, "val_split": 1.0}, ["--val-split 1.0"]),
        ({"batch": 8, "val_split": -0.1}, ["--val-split -0.1"]),
        ({"batch": 8, "val_split": 0.001}, ["leaves no validation image"]),
        ({"batch": 8, "val_split": 0.999}, ["leaves no training image"]),
        ({"batch": 8, "mean": (0.5,)}, ["--mean has 1 values"]),
        ({"batch": 8, "std": (1.0, 0.0, 1.0)}, ["--std 1.0 0.0 1.0: give numbers above 0"]),
        ({"batch": 8, "pad": -1}, ["--pad -1"]),
        ({"batch": 8, "pad": 2, "augment": "none"}, ["--pad 2 has no meaning"]),
    ],
)
def test_check_batches(fields: dict[str, Any], expected: list[str]) -> None:
    problems = check_batches(DataConfig(**fields), SPEC)
    assert len(problems) == len(expected)
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


def test_the_configuration_is_the_command_line(tmp_path: Path) -> None:
    line = f"--dataset folder --data-dir {tmp_path} --batch 64 --drop-last --mean 0.5 0.5 0.5"
    config = tyro.cli(DataConfig, args=line.split())
    expected = of(tmp_path, batch=64, drop_last=True, mean=(0.5, 0.5, 0.5))
    assert config == expected
