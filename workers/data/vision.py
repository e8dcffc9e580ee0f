"""A dataset of the table in `published.py`: fetched if asked, found, and read by torchvision."""

from os.path import isfile  # False, not an error, where it may not look
from pathlib import Path

import numpy as np

from comm.errors import BadInput
from workers.data.config import DataConfig
from workers.data.download import REASONS, fetched
from workers.data.published import PUBLISHED, Published
from workers.data.source import Bytes, Contents, Labels, Source, files_of, identity_of

Split = tuple[Bytes, Labels, tuple[str, ...]]  # images, labels, the names of the classes
# What torchvision raises for it.
DAMAGE = (RuntimeError, OSError, ValueError, TypeError, LookupError, AssertionError)


def published(config: DataConfig) -> Source:
    """The dataset of the table that the configuration names, fetched first if it says so."""
    name, what = config.dataset, PUBLISHED[config.dataset]
    problems: list[str] = []
    if config.image_size not in (None, what.size):
        problems.append(
            f"--image-size {config.image_size}: "
            f"the images of {name} are {what.size}x{what.size}: leave it out"
        )
        if config.download:
            raise BadInput(problems)  # before anything is fetched
    try:
        root = files_of(config, can_download=True)
        if config.download:
            _fetch(name, what, root)
        identity = _identity(what, root)
    except BadInput as error:
        raise BadInput([*problems, *error.problems]) from error
    if problems:
        raise BadInput(problems)
    return Source(name=name, identity=identity, read=lambda: _read(what, root))


def _fetch(name: str, what: Published, root: Path) -> None:
    def fetch(aside: Path) -> None:
        for part in ("train", "test"):
            what.open(aside, part, download=True)

    try:
        fetched(root, name, what.files, fetch)
    except REASONS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(
            [
                f"{what.title} cannot be downloaded to {root} ({reason}): try again; "
                f"or get it elsewhere from {what.url}, unpacked, "
                f"and put there: {', '.join(what.files)}"
            ]
        ) from error


def _identity(what: Published, root: Path) -> list[object]:
    missing = [name for name in what.files if not isfile(root / name)]
    if missing:
        rest = f" nor {len(missing) - 1} more of its files" if missing[1:] else ""
        raise BadInput([_unreadable(what, root, f"{missing[0]} is not there{rest}")])
    return identity_of(root, what.files)


def _unreadable(what: Published, root: Path, why: str, first: str = "") -> str:
    return (
        f"{what.title} cannot be read from {root} ({why}): {first}add --download, "
        f"or download it with: {what.command(root)}; or, if you have its images as files, "
        "use --dataset folder, which reads DATA_DIR/train/CLASS/ and DATA_DIR/test/CLASS/"
    )


def _read(what: Published, root: Path) -> Contents:
    try:
        train_images, train_labels, classes = _split(what, root, "train")
        test_images, test_labels, _ = _split(what, root, "test")
    except DAMAGE as error:
        why = "its files are incomplete or damaged"
        raise BadInput([_unreadable(what, root, why, "remove them and ")]) from error
    return Contents(
        classes=classes,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        augmentation=what.augmentation,
        mean=what.mean,
        std=what.std,
    )


def _split(what: Published, root: Path, part: str) -> Split:
    """One part as (count, channels, height, width). Raises one of DAMAGE."""
    stored = what.open(root, part)
    images = np.asarray(stored.data, dtype=np.uint8)
    if images.ndim == 3:  # grey
        images = images[:, np.newaxis]
    elif images.shape[-1] == 3:  # CIFAR's, which torchvision turns for Pillow
        images = images.transpose(0, 3, 1, 2)
    labels = np.asarray(stored.labels if what.splits else stored.targets, dtype=np.int64)
    classes = tuple(getattr(stored, "classes", map(str, range(10))))  # SVHN has ten digits
    if len(images) != len(labels) or not set(labels.tolist()) <= {*range(len(classes))}:
        raise ValueError("the labels do not fit the images")
    return np.ascontiguousarray(images), labels, classes
