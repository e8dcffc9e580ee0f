"""What a dataset's file offers: a source that was found, and the images once they are read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
class Stream:
    """Images that do not fit into memory: `parts` yields them in order, some at a time.

    `parts` raises BadInput if they changed since they were counted.
    """

    shape: tuple[int, int, int, int]
    parts: Callable[[], Iterator[Bytes]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """A dataset that was read. Images are (count, channels, height, width), labels (count,).

    Few datasets come with validation images of their own; --val-split draws them for the others.
    """

    classes: tuple[str, ...]
    train_images: Bytes | Stream
    train_labels: Labels
    test_images: Bytes
    test_labels: Labels
    augmentation: Augmentation
    val_images: Bytes | None = None
    val_labels: Labels | None = None
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


def files_of(config: DataConfig, *, can_download: bool = False) -> Path:
    """The folder given as --data-dir, absolute; made if it is to be filled by --download.

    Raises BadInput if there is none.
    """
    hint = ", and add --download to get them" if can_download and not config.download else ""
    if config.data_dir is None:
        does = "puts files somewhere" if config.download and can_download else "reads files"
        raise BadInput([f"--dataset {config.dataset} {does}: say where with --data-dir{hint}"])
    path = config.data_dir.expanduser().resolve()
    if not _text(path) or not _text(config.data_dir.absolute()):
        raise BadInput(
            [
                f"--data-dir {path}: a run records where its images are, and this name is no text "
                "(UTF-8): rename the folder"
            ]
        )
    if config.download and can_download:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                [f"--data-dir {path} cannot be made ({error.strerror}): give another folder"]
            ) from error
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        hint = ", or add --download to make and fill it" if hint and not path.exists() else ""
        raise BadInput([f"--data-dir {path} {what}: give the folder that holds the dataset{hint}"])
    return path


def _text(path: Path) -> bool:
    """Whether the name is text. Linux allows any bytes; Python reads those, but encodes none."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def identity_of(root: Path, files: Iterable[str]) -> list[object]:
    """Where the files are, how long they are and when they changed."""
    status = ((name, (root / name).stat()) for name in files)
    return [str(root), *((name, each.st_size, each.st_mtime_ns) for name, each in status)]


def not_downloaded(config: DataConfig, why: str) -> list[str]:
    """The problem, if there is one, of --download with a dataset that cannot be downloaded."""
    return [f"--download has no meaning here: {why}; leave it out"] if config.download else []


def needs_no_files(config: DataConfig) -> None:
    """Raises BadInput if --data-dir or --download is given: most likely --dataset was forgotten."""
    problems = not_downloaded(config, f"--dataset {config.dataset} needs no files")
    if config.data_dir is not None:
        problems.append(
            f"--data-dir is given, but --dataset {config.dataset} reads no files: "
            "add --dataset folder (or cifar10), or leave --data-dir out"
        )
    if problems:
        raise BadInput(problems)
