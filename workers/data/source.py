"""What a dataset's file offers: a source that was found, and the images once they are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from comm.errors import BadInput
from workers.data.augment import Augmentation
from workers.data.config import DataConfig

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """A dataset in memory. Images are (count, channels, height, width), labels (count,)."""

    classes: tuple[str, ...]
    train_images: Bytes
    train_labels: Labels
    test_images: Bytes
    test_labels: Labels
    augmentation: Augmentation
    mean: tuple[float, ...] | None = None  # per channel, white is 1; None: of the training images
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A dataset that was found but not read.

    `identity` is what tells it from every other (names, sizes, times of change: anything that JSON
    can write) and must be quick to find. `read` may be slow and raises BadInput with all problems.
    """

    name: str
    identity: Sequence[object]
    read: Callable[[], Contents]


def files_of(config: DataConfig) -> Path:
    """The folder given as --data-dir, absolute. Raises BadInput if there is none."""
    if config.data_dir is None:
        raise BadInput([f"--dataset {config.dataset} reads files: say where with --data-dir"])
    path = config.data_dir.expanduser().resolve()
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise BadInput([f"--data-dir {path} {what}: give the folder that holds the dataset"])
    return path


def needs_no_files(config: DataConfig) -> None:
    """Raises BadInput if --data-dir is given: most likely --dataset was forgotten."""
    if config.data_dir is not None:
        raise BadInput(
            [
                f"--data-dir is given, but --dataset {config.dataset} reads no files: "
                "add --dataset folder (or cifar10), or leave --data-dir out"
            ]
        )
