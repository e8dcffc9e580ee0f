"""Image files in class folders: DATA_DIR/train/CLASS/* and DATA_DIR/test/CLASS/*."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from comm.errors import BadInput
from workers.data.augment import Augmentation
from workers.data.config import DataConfig
from workers.data.decode import decode, listed
from workers.data.source import Contents, Labels, Source, files_of, not_downloaded

SPLITS = ("train", "test")
CLUTTER = {"Thumbs.db", "desktop.ini"}  # left by file browsers, as are names that begin with a dot


def folder(config: DataConfig) -> Source:
    """RGB images; the classes are the names of the folders, in alphabetical order.

    Raises BadInput if the folders are not as they must be; then every image is read too, so that
    the report is complete.
    """
    problems = not_downloaded(config, "--dataset folder reads images of your own")
    try:
        root, size = files_of(config), config.image_size
    except BadInput as error:
        raise BadInput([*problems, *error.problems]) from error
    scan = _scan(root)
    if problems or scan.problems:
        _, unreadable = decode(root, [path for path, _, _ in scan.files], size)
        raise BadInput([*problems, *scan.problems, *unreadable])
    return Source(
        name="folder", identity=(str(root), size, scan.files), read=lambda: _read(root, scan, size)
    )


@dataclass(kw_only=True)
class _Scan:
    """What the folders hold, without reading an image."""

    classes: list[str] = field(default_factory=list[str])
    # relative path, size in bytes, time of the last change in ns; training images first, in order
    files: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    problems: list[str] = field(default_factory=list[str])


def _read(root: Path, scan: _Scan, size: int | None) -> Contents:
    paths = [path for path, _, _ in scan.files]
    images, problems = decode(root, paths, size)
    if problems:
        raise BadInput(problems)
    number = {name: index for index, name in enumerate(scan.classes)}
    parts = [path.split(os.sep) for path in paths]
    labels: Labels = np.array([number[name] for _, name, _ in parts], np.int64)
    train = sum(split == "train" for split, _, _ in parts)
    return Contents(
        classes=tuple(scan.classes),
        train_images=images[:train],
        train_labels=labels[:train],
        test_images=images[train:],
        test_labels=labels[train:],
        augmentation=Augmentation(padding="reflect", pad=4, flip=True),
    )


def _scan(root: Path) -> _Scan:
    problems: list[str] = []
    train, test = (_class_names(root, split, problems) for split in SPLITS)
    if train is not None and test is not None:
        problems += _unlike(root, train, test)
    scan = _Scan(classes=sorted((train or set()) | (test or set())), problems=problems)
    problems += listed(
        (f"class folder {name!a}: rename it" for name in scan.classes if not name.isprintable()),
        "names that cannot be printed",
    )
    empty: list[str] = []
    for split, names in (("train", train), ("test", test)):
        for name in sorted(names or ()):
            files = _files(root, f"{split}{os.sep}{name}", problems)
            scan.files += files
            if not files:
                empty.append(f"{split}/{name}/ holds no image: add some or remove the class")
    problems += listed(empty, "empty classes")
    return scan


def _unlike(root: Path, train: set[str], test: set[str]) -> list[str]:
    """What is wrong with the classes of the two splits."""
    problems: list[str] = []
    for names, here, there in ((train - test, "train", "test"), (test - train, "test", "train")):
        each = (
            f"class {name} is in {here}/ but not in {there}/: "
            f"add {there}/{name}/ or remove {here}/{name}/"
            for name in sorted(names)
        )
        problems += listed(each, f"classes that are only in {here}/")
    if (count := len(train | test)) < 2:
        problems.append(
            f"{root} has {count} class{'es' if count == 0 else ''}: "
            "give two or more, each a folder of images in train/ and in test/"
        )
    return problems


def _class_names(root: Path, split: str, problems: list[str]) -> set[str] | None:
    """The class folders of a split, or None, with a problem, if there is no such split."""
    try:
        with os.scandir(root / split) as entries:
            return {entry.name for entry in entries if entry.is_dir() and not _clutter(entry.name)}
    except OSError as error:
        problems.append(
            f"{root} has no folder {split}/ that can be read ({error.strerror}): "
            f"--dataset folder expects {split}/CLASS/ with the images of each class"
        )
        return None


def _files(root: Path, relative: str, problems: list[str]) -> list[tuple[str, int, int]]:
    """The files of one class by name; sub-folders and what cannot be looked at are problems."""
    files: list[tuple[str, int, int]] = []
    wrong: list[str] = []
    try:
        with os.scandir(root / relative) as entries:
            for entry in entries:
                if _clutter(entry.name):
                    continue
                path = f"{relative}{os.sep}{entry.name}"
                if entry.is_file():
                    status = entry.stat()
                    files.append((path, status.st_size, status.st_mtime_ns))
                elif entry.is_dir():
                    wrong.append(f"{path} is a folder: put its images directly into {relative}/")
                else:
                    wrong.append(f"{path} is no file, or a link to nothing: remove it")
    except OSError as error:
        wrong.append(f"{relative}/ cannot be read ({error.strerror}): make it readable")
    problems += listed(sorted(wrong), f"of this kind in {relative}/")
    return sorted(files)


def _clutter(name: str) -> bool:
    return name.startswith(".") or name in CLUTTER
