"""val/ beside train/: in the place of test/, or for evaluation along the way."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from comm.errors import BadInput
from runtime.config import Config
from runtime.job import schedule_of
from tests.runs import launch
from workers.data.batches import check_batches
from workers.data.config import DataConfig
from workers.data.feed import Feed
from workers.data.folder import folder
from workers.data.prepare import prepare
from workers.data.prepared import Prepared
from workers.optim import OptimConfig

COUNTS = {"train": 6, "val": 2, "test": 3}  # images of each class
SHADE = {"train": 10, "val": 20, "test": 30}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes in three splits; an image's shade tells its split and class."""
    for split, count in COUNTS.items():
        for number, name in enumerate(("cat", "dog")):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for index in range(count):
                image = Image.new("RGB", (8, 8), (SHADE[split] + number,) * 3)
                image.save(tmp_path / "images" / split / name / f"{index}.png")
    return tmp_path / "images"


def of(root: Path, **fields: Any) -> DataConfig:
    return DataConfig(dataset="folder", data_dir=root, batch=4, **fields)


def shades(images: np.ndarray) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def test_val_alone_takes_the_place_of_test(root: Path) -> None:
    shutil.rmtree(root / "test")
    got = Prepared(prepare(of(root)))
    assert (got.spec.train, got.spec.val, got.spec.test) == (12, 0, 4)
    assert shades(got.test_images) == [20, 20, 21, 21] and got.test_labels.tolist() == [0, 0, 1, 1]
    assert got.val_images is None
    (root / "val").rename(root / "test")
    assert Prepared(prepare(of(root))).spec == got.spec


def test_val_and_test_are_read_apart(root: Path) -> None:
    got = Prepared(prepare(of(root)))
    assert (got.spec.train, got.spec.val, got.spec.test) == (12, 4, 6)
    assert got.val_images is not None and got.val_labels is not None
    assert shades(got.val_images) == [20, 20, 21, 21] and got.val_labels.tolist() == [0, 0, 1, 1]
    assert shades(got.test_images) == [30, 30, 30, 31, 31, 31]
    assert {*shades(got.train_images)} == {10, 11}  # nothing is taken from them


def test_the_feed_evaluates_val_along_the_way_and_test_at_the_end(root: Path) -> None:
    config = Config(data=of(root, eval_batch=3, mean=(0.0,) * 3, std=(1.0,) * 3))
    feed = Feed(Prepared(prepare(config.data)), config.data, seed=0)
    assert feed.splits == ("test", "val") and feed.steps_per_epoch == 3
    seen = torch.cat([feed.eval_images("val", index) for index in range(feed.eval_steps("val"))])
    assert (seen[:, 0, 0, 0] * 255).round().tolist() == [20, 20, 21, 21]
    two = Config(data=config.data, optim=OptimConfig(epochs=2))
    passes = [turn.split for turn in schedule_of(two, feed).turns() if turn.first]
    assert passes == [None, "val", None, "val", "test"]


def test_what_the_digest_covers(root: Path) -> None:
    before = Prepared(prepare(of(root))).spec.digest
    Image.new("RGB", (8, 8), "red").save(root / "val" / "cat" / "0.png")
    assert Prepared(prepare(of(root))).spec.digest != before


def test_val_split_beside_val_is_refused(root: Path) -> None:
    spec = Prepared(prepare(of(root))).spec
    (problem,) = check_batches(of(root, val_split=0.5), spec)
    assert "folder has 4 of its own in val/: leave it out, or move val/ away" in problem
    shutil.rmtree(root / "test")
    assert not check_batches(of(root, val_split=0.5), Prepared(prepare(of(root))).spec)


def test_classes_are_compared_with_both(root: Path) -> None:
    (root / "val" / "eel").mkdir()
    shutil.rmtree(root / "test" / "dog")
    with pytest.raises(BadInput) as caught:
        folder(of(root))
    assert caught.value.problems == (
        "class eel is in val/ but not in train/: add train/eel/ or remove val/eel/",
        "class dog is in train/ but not in test/: add test/dog/ or remove train/dog/",
        "val/eel/ holds no image: add some or remove the class",
    )


def test_links_that_lead_nowhere_do_not_hide_the_rest(root: Path) -> None:
    (root / "train" / "loop").symlink_to("loop")
    (root / "train" / "cat" / "loop.png").symlink_to("loop.png")
    with pytest.raises(BadInput) as caught:
        folder(of(root))
    (problem,) = caught.value.problems
    assert problem.startswith("train/cat/loop.png is no file, or a link to nothing")


def test_a_run_shows_both(root: Path, tmp_path: Path) -> None:
    words = (
        "train backprop --network mlp --widths 8 8 --debug --epochs 2 --dataset folder --batch 4"
    )
    run = tmp_path / "run"
    done = launch(*words.split(), "--data-dir", root, "--run-dir", run)
    assert done.code == 0, done.err
    results = json.loads((run / "summary.json").read_bytes())["evaluations"]
    assert [(r["epoch"], r["split"], r["images"]) for r in results] == [
        (1, "val", 4),
        (2, "val", 4),
        (2, "test", 6),
    ]
