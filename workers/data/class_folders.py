"""What the class folders of a data folder hold, and all that is wrong with them; reads no image."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from os.path import isdir, isfile, lexists  # False, not an error, where they may not look
from pathlib import Path

from workers.data.decode import listed

CLUTTER = {"Thumbs.db", "desktop.ini"}  # left by file browsers, as are names that begin with a dot


@dataclass(kw_only=True)
class Scan:
    """Classes, files and problems of the splits that are there: train/, val/, test/."""

    classes: list[str] = field(default_factory=list[str])
    # relative path, size in bytes, time of the last change in ns; split after split, each in order
    files: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    problems: list[str] = field(default_factory=list[str])


def scan(root: Path) -> Scan:
    """Look into every class folder below `root`; what is wrong is a problem, never an error."""
    problems: list[str] = []
    evaluated = [split for split in ("val", "test") if lexists(root / split)]
    splits: dict[str, set[str]] = {}
    for split in ("train", *evaluated):
        names = _class_names(root, split, problems)
        if names is not None:
            splits[split] = names
    if not evaluated:
        problems.append(
            f"{root} has no folder test/ and no val/: put some images of each class into "
            "test/CLASS/ to evaluate on, and the others into train/CLASS/"
        )
    problems += _unlike(root, splits)
    found = Scan(classes=sorted(set[str]().union(*splits.values())), problems=problems)
    problems += listed(
        (f"class folder {name!a}: rename it" for name in found.classes if not name.isprintable()),
        "names that cannot be printed",
    )
    empty: list[str] = []
    for split, names in splits.items():
        for name in sorted(names):
            files = _files(root, f"{split}{os.sep}{name}", problems)
            found.files += files
            if not files:
                empty.append(f"{split}/{name}/ holds no image: add some or remove the class")
    problems += listed(empty, "empty classes")
    return found


def _unlike(root: Path, splits: Mapping[str, set[str]]) -> list[str]:
    """What is wrong with the classes of the splits; nothing is compared without train/."""
    problems: list[str] = []
    others = [split for split in splits if split != "train"]
    if "train" not in splits or not others:
        return problems
    for other in others:
        for here, there in (("train", other), (other, "train")):
            each = (
                f"class {name} is in {here}/ but not in {there}/: "
                f"add {there}/{name}/ or remove {here}/{name}/"
                for name in sorted(splits[here] - splits[there])
            )
            problems += listed(each, f"classes that are only in {here}/")
    if (count := len(set[str]().union(*splits.values()))) < 2:
        problems.append(
            f"{root} has {count} class{'es' if count == 0 else ''}: "
            f"give two or more, each a folder of images in {'/ and in '.join(splits)}/"
        )
    return problems


def _class_names(root: Path, split: str, problems: list[str]) -> set[str] | None:
    """The class folders of a split, or None, with a problem, if it can not be looked into."""
    try:
        with os.scandir(root / split) as entries:
            return {entry.name for entry in entries if isdir(entry.path) and not _clutter(entry)}
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
                if _clutter(entry):
                    continue
                path = f"{relative}{os.sep}{entry.name}"
                if isfile(entry.path):
                    status = entry.stat()
                    files.append((path, status.st_size, status.st_mtime_ns))
                elif isdir(entry.path):
                    wrong.append(f"{path} is a folder: put its images directly into {relative}/")
                else:
                    wrong.append(f"{path} is no file, or a link to nothing: remove it")
    except OSError as error:
        wrong.append(f"{relative}/ cannot be read ({error.strerror}): make it readable")
    problems += listed(sorted(wrong), f"of this kind in {relative}/")
    return sorted(files)


def _clutter(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") or entry.name in CLUTTER
