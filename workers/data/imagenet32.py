"""ImageNet32: ImageNet at 32x32 in its published batch files, read one file at a time.

Source: P. Chrabaszcz, I. Loshchilov, F. Hutter, A Downsampled Variant of ImageNet (2017).
"""

from collections.abc import Iterator, Sequence
from os.path import isfile  # False, not an error, where it may not look
from pathlib import Path
from typing import Any, cast

import numpy as np

from comm.errors import BadInput
from workers.data.augment import Augmentation
from workers.data.config import DataConfig
from workers.data.pickles import load
from workers.data.progress import Progress
from workers.data.source import (
    Bytes,
    Contents,
    Labels,
    Source,
    Stream,
    files_of,
    identity_of,
    not_downloaded,
)

SHAPE = (3, 32, 32)
PIXELS = 3072
CLASSES = 1000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TRAIN = tuple(f"train_data_batch_{number}" for number in range(1, 11))
TEST = "val_data"
FOLDERS = {**dict.fromkeys(TRAIN, "Imagenet32_train"), TEST: "Imagenet32_val"}
WHERE = "https://image-net.org/download-images"


def imagenet32(config: DataConfig) -> Source:
    """1,281,167 training and 50,000 test images (3, 32, 32) of 1000 classes.

    Raises BadInput if a file is missing; then the others are read too, so that the report is
    complete.
    """
    problems = not_downloaded(
        config, f"ImageNet's licence asks for an account, so get imagenet32 from {WHERE} yourself"
    )
    if config.image_size not in (None, SHAPE[1]):
        problems.append(
            f"--image-size {config.image_size}: the images of imagenet32 are 32x32: leave it out"
        )
    try:
        root = files_of(config)
    except BadInput as error:
        raise BadInput([*problems, *error.problems]) from error
    found = {name: path for name in FOLDERS if isfile(path := _place(root, name))}
    if missing := [name for name in FOLDERS if name not in found]:
        problems += [_missing(root, missing), *_labels(root, [*found.values()])[1]]
    if problems:
        raise BadInput(problems)
    files = [str(path.relative_to(root)) for path in found.values()]
    identity = identity_of(root, files)
    return Source(name="imagenet32", identity=identity, read=lambda: _read(root, found))


def _place(root: Path, name: str) -> Path:
    """Where a file is, or would be: in `root` itself or in the folder of its archive."""
    inside = root / FOLDERS[name] / name
    return inside if isfile(inside) else root / name


def _missing(root: Path, names: Sequence[str]) -> str:
    verb = "is" if len(names) == 1 else "are"
    return (
        f"ImageNet32 cannot be read from {root} ({', '.join(names)} {verb} not there, nor in "
        f"{' or '.join(sorted({f'{FOLDERS[name]}/' for name in names}))}): get "
        f"Imagenet32_train.zip and Imagenet32_val.zip (not the npz files) from {WHERE}, "
        "which asks for an account, and unpack them there"
    )


def _read(root: Path, files: dict[str, Path]) -> Contents:
    train, test = [files[name] for name in TRAIN], files[TEST]
    labels, problems = _labels(root, [*train, test])
    if problems:
        raise BadInput(problems)
    counts = [len(values) for values in labels]

    def parts() -> Iterator[Bytes]:
        with Progress("copying the images of imagenet32", sum(counts[:-1])) as progress:
            for path, count in zip(train, counts, strict=False):
                try:
                    images, _ = _batch(path)
                    if len(images) != count:
                        raise ValueError(f"{len(images)} images, not {count}")
                except (OSError, ValueError) as error:
                    raise BadInput(
                        [f"{path} changed while it was read ({error}): start again"]
                    ) from error
                yield images
                progress.advance(count)

    return Contents(
        classes=tuple(map(str, range(1, CLASSES + 1))),  # as the files number them
        train_images=Stream(shape=(sum(counts[:-1]), *SHAPE), parts=parts),
        train_labels=np.concatenate(labels[:-1]),
        test_images=_batch(test)[0],
        test_labels=labels[-1],
        augmentation=Augmentation(padding="zero", pad=4, flip=True),
        mean=MEAN,
        std=STD,
    )


def _labels(root: Path, paths: Sequence[Path]) -> tuple[list[Labels], list[str]]:
    """The labels of every file, and what is wrong with any; the images are looked at, not kept."""
    labels: list[Labels] = []
    problems: list[str] = []
    with Progress("checking the files of imagenet32", len(paths)) as progress:
        for path in paths:
            try:
                labels.append(_batch(path)[1])
            except (OSError, ValueError) as error:
                problems.append(
                    f"{path.relative_to(root)} is no batch of ImageNet32 ({error}): "
                    f"get it again from {WHERE}"
                )
            progress.advance(1)
    return labels, problems


def _batch(path: Path) -> tuple[Bytes, Labels]:
    """Images (count, 3, 32, 32) and labels from 0 of one file. Raises OSError or ValueError."""
    stored = load(path)
    if not isinstance(stored, dict) or not {"data", "labels"} <= stored.keys():
        raise ValueError("it is no dict of data and labels")
    batch = cast(dict[str, Any], stored)
    if not isinstance(batch["data"], np.ndarray) or batch["data"].dtype != np.uint8:
        raise ValueError("its data are no array of bytes")
    images = cast(Bytes, batch["data"])
    if images.ndim != 2 or images.shape[1] != PIXELS:
        raise ValueError(f"its data have the shape {images.shape}, not (count, {PIXELS})")
    labels = np.asarray(batch["labels"])
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise ValueError(f"it has {labels.shape} {labels.dtype} labels for {len(images)} images")
    if not len(labels) or labels.min() < 1 or labels.max() > CLASSES:
        raise ValueError(f"its labels are not between 1 and {CLASSES}")
    return np.ascontiguousarray(images).reshape(-1, *SHAPE), labels.astype(np.int64) - 1
