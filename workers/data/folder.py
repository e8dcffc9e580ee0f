"""Image files in class folders: DATA_DIR/train/CLASS/*, and test/ or val/ in the same way.

train/ test/         trained on train/, evaluated on test/
train/ val/          the same: val/ takes the place of test/
train/ val/ test/    evaluated on val/ along the way, and on test/ once, at the end
"""

import os
from pathlib import Path

import numpy as np

from comm.errors import BadInput
from workers.data.augment import Augmentation
from workers.data.class_folders import Scan, scan
from workers.data.config import DataConfig
from workers.data.decode import decode
from workers.data.source import Bytes, Contents, Labels, Source, files_of, not_downloaded


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
    found = scan(root)
    if problems or found.problems:
        _, unreadable = decode(root, [path for path, _, _ in found.files], size)
        raise BadInput([*problems, *found.problems, *unreadable])
    return Source(
        name="folder",
        identity=(str(root), size, found.files),
        read=lambda: _read(root, found, size),
    )


def _read(root: Path, found: Scan, size: int | None) -> Contents:
    paths = [path for path, _, _ in found.files]
    images, problems = decode(root, paths, size)
    if problems:
        raise BadInput(problems)
    number = {name: index for index, name in enumerate(found.classes)}
    parts = [path.split(os.sep) for path in paths]
    labels: Labels = np.array([number[name] for _, name, _ in parts], np.int64)

    def split(name: str) -> tuple[Bytes, Labels]:
        members = [index for index, (folder, _, _) in enumerate(parts) if folder == name]
        span = slice(members[0], members[-1] + 1)
        return images[span], labels[span]

    folders = {folder for folder, _, _ in parts}
    train_images, train_labels = split("train")
    test_images, test_labels = split("test" if "test" in folders else "val")
    val_images, val_labels = split("val") if {"val", "test"} <= folders else (None, None)
    return Contents(
        classes=tuple(found.classes),
        train_images=train_images,
        train_labels=train_labels,
        val_images=val_images,
        val_labels=val_labels,
        test_images=test_images,
        test_labels=test_labels,
        augmentation=Augmentation(padding="reflect", pad=4, flip=True),
    )
