"""CIFAR-10 as torchvision stores it. Nothing is downloaded here.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).
"""

from pathlib import Path
from typing import Any, cast

import numpy as np

from comm.errors import BadInput
from workers.data.augment import Augmentation
from workers.data.config import DataConfig
from workers.data.source import Bytes, Contents, Labels, Source, files_of

MEAN = (125.3 / 255, 123.0 / 255, 113.9 / 255)
STD = (63.0 / 255, 62.1 / 255, 66.7 / 255)
PARTS = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")
FILES = (*PARTS, "test_batch", "batches.meta")


def cifar10(config: DataConfig) -> Source:
    """50,000 training and 10,000 test images (3, 32, 32), with the usual normalisation."""
    problems: list[str] = []
    if config.image_size not in (None, 32):
        problems.append(
            f"--image-size {config.image_size}: the images of cifar10 are 32x32: leave it out"
        )
    try:
        root = files_of(config)
        identity = _identity(root)
    except BadInput as error:
        raise BadInput([*problems, *error.problems]) from error
    if problems:
        raise BadInput(problems)
    return Source(name="cifar10", identity=identity, read=lambda: _read(root))


def _identity(root: Path) -> list[object]:
    """Where the files are and when they changed. Raises BadInput if one is missing."""
    identity: list[object] = [str(root)]
    for name in FILES:
        path = root / "cifar-10-batches-py" / name
        try:
            status = path.stat()
        except OSError as error:
            raise BadInput([_missing(root, f"{path.relative_to(root)} is not there")]) from error
        identity.append((name, status.st_size, status.st_mtime_ns))
    return identity


def _missing(root: Path, why: str) -> str:
    code = f"from torchvision.datasets import CIFAR10; CIFAR10({str(root)!r}, download=True)"
    return (
        f"CIFAR-10 cannot be read from {root} ({why}): download it with: "
        f'python -c "{code}"; or, if you have its images as files, '
        "use --dataset folder, which reads DATA_DIR/train/CLASS/ and DATA_DIR/test/CLASS/"
    )


def _read(root: Path) -> Contents:
    from torchvision import datasets

    def part(train: bool) -> tuple[Bytes, Labels, tuple[str, ...]]:
        # torchvision compares each file with its published MD5 before it unpickles it
        stored = cast(Any, datasets).CIFAR10(root, train=train, download=False)
        images = np.asarray(stored.data, dtype=np.uint8).transpose(0, 3, 1, 2)
        labels = np.asarray(stored.targets, dtype=np.int64)
        return np.ascontiguousarray(images), labels, tuple(stored.classes)

    try:
        train_images, train_labels, classes = part(train=True)
        test_images, test_labels, _ = part(train=False)
    except (RuntimeError, OSError) as error:
        raise BadInput([_missing(root, "its files are incomplete or damaged")]) from error
    return Contents(
        classes=classes,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        augmentation=Augmentation(padding="reflect", pad=4, flip=True),
        mean=MEAN,
        std=STD,
    )
