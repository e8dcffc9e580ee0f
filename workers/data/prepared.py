"""The prepared folder: plain arrays that are mapped into memory, and a card that describes them.

    train_images.npy  train_labels.npy     uint8 (count, channels, height, width), int64 (count,)
    test_images.npy   test_labels.npy
    dataset.json                           the card; its digest covers everything

Knows nothing of where images come from. Nothing is unpickled.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from comm.errors import BadInput
from partition.data_spec import DataSpec
from workers.data.augment import Augmentation
from workers.data.source import Bytes, Contents, Labels, Stream

FORMAT = 2  # raise it when these files, or what a dataset is read into, change
PART = 256  # images that are looked at together


@dataclass(frozen=True, kw_only=True)
class Card:
    """dataset.json. `shape` is (channels, height, width); mean and std have one per channel."""

    format: int
    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    train: int
    val: int  # 0: the dataset has no validation images of its own, and no arrays of them
    test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation
    digest: str


class Prepared:
    """A prepared folder, open. Images stay on disk until touched; all processes share them."""

    def __init__(self, folder: Path) -> None:
        """Opens within milliseconds. Raises BadInput if the folder is missing or damaged."""
        try:
            card = msgspec.json.decode((folder / "dataset.json").read_bytes(), type=Card)
            if card.format != FORMAT:
                raise ValueError(f"format {card.format}, not {FORMAT}")
            self.train_images: Bytes = _opened(folder, "train_images", (card.train, *card.shape))
            self.train_labels: Labels = _opened(folder, "train_labels", (card.train,))
            self.val_images: Bytes | None = None
            self.val_labels: Labels | None = None
            if card.val:
                self.val_images = _opened(folder, "val_images", (card.val, *card.shape))
                self.val_labels = _opened(folder, "val_labels", (card.val,))
            self.test_images: Bytes = _opened(folder, "test_images", (card.test, *card.shape))
            self.test_labels: Labels = _opened(folder, "test_labels", (card.test,))
        except (OSError, ValueError, EOFError, msgspec.MsgspecError) as error:
            raise BadInput(
                [f"{folder} is not a prepared dataset ({error}): remove it and start again"]
            ) from error
        self.folder = folder
        self.classes, self.mean, self.std = card.classes, card.mean, card.std
        self.augmentation = card.augmentation  # what the dataset is usually trained with
        self.spec = DataSpec(
            name=card.name,
            shape=card.shape,
            classes=len(card.classes),
            train=card.train,
            val=card.val,
            test=card.test,
            digest=card.digest,
        )


def write(folder: Path, name: str, contents: Contents) -> None:
    """Writes a prepared folder aside and renames it: `folder` is whole, or is not there.

    Replaces a folder that exists; those who have it open keep what they opened. Allows for one
    writer at a time.
    """
    for stale in folder.parent.glob(f".{folder.name}.*"):  # of a writer that was killed
        shutil.rmtree(stale, ignore_errors=True)
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    aside.mkdir()
    try:
        for array, values in _arrays(contents).items():
            with _durable(aside / f"{array}.npy") as file:
                if isinstance(values, Stream):
                    _save_stream(file, values)
                else:
                    np.save(file, values, allow_pickle=False)
        card = msgspec.json.format(msgspec.json.encode(_card(name, contents, aside)))
        with _durable(aside / "dataset.json") as file:
            file.write(card + b"\n")
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _save_stream(file: BinaryIO, images: Stream) -> None:
    """What `np.save` would write. Not through a map: a full disk would kill us with a signal."""
    header: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": images.shape}
    np.lib.format.write_array_header_1_0(file, header)
    count = 0
    for part in images.parts():
        file.write(np.ascontiguousarray(part, np.uint8).data)
        count += len(part)
    if count != images.shape[0]:
        raise ValueError(f"{count} images came where {images.shape[0]} were counted")


def _arrays(contents: Contents) -> dict[str, Bytes | Labels | Stream]:
    arrays = {
        "train_images": contents.train_images,
        "train_labels": contents.train_labels,
        "val_images": contents.val_images,
        "val_labels": contents.val_labels,
        "test_images": contents.test_images,
        "test_labels": contents.test_labels,
    }
    return {name: values for name, values in arrays.items() if values is not None}


def _card(name: str, contents: Contents, folder: Path) -> Card:
    """The card of `contents`, whose arrays are in `folder`, from where they are read in parts."""
    stored: dict[str, npt.NDArray[Any]] = {
        array: np.load(folder / f"{array}.npy", mmap_mode="r", allow_pickle=False)
        for array in _arrays(contents)
    }
    mean, std = contents.mean, contents.std
    if mean is None or std is None:
        own_mean, own_std = _moments(stored["train_images"])
        mean, std = mean or own_mean, std or own_std
    _, channels, height, width = contents.train_images.shape
    card = Card(
        format=FORMAT,
        name=name,
        classes=contents.classes,
        shape=(channels, height, width),
        train=contents.train_images.shape[0],
        val=0 if contents.val_images is None else len(contents.val_images),
        test=len(contents.test_images),
        mean=mean,
        std=std,
        augmentation=contents.augmentation,
        digest="",
    )
    digest = hashlib.sha256(msgspec.json.encode(card))
    for values in stored.values():
        for start in range(0, len(values), PART):
            digest.update(np.ascontiguousarray(values[start : start + PART]).data)
    return replace(card, digest=digest.hexdigest())


def _moments(images: Bytes) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, white is 1. Exact sums: the same everywhere."""
    total = np.zeros((2, images.shape[1]))
    for start in range(0, len(images), PART):
        part = images[start : start + PART].astype(np.float64)
        total += part.sum(axis=(0, 2, 3)), np.square(part).sum(axis=(0, 2, 3))
    mean, square = total / (images.size / images.shape[1])
    std = np.sqrt(np.maximum(square - mean**2, 0))
    std[std == 0] = 255  # a channel of one value stays at 0 instead of dividing by 0
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


@contextmanager
def _durable(path: Path) -> Generator[BinaryIO]:
    """A new file whose bytes are on the disk before the folder gets its name."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _opened(folder: Path, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """One array, mapped and read-only. Raises ValueError if it is not what the card says."""
    array = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    dtype = np.uint8 if name.endswith("images") else np.int64
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name}.npy holds {array.dtype} {array.shape}, not {shape}")
    return array.view(np.ndarray)  # np.memmap itself makes every indexing slower
