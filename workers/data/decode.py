"""Image files to one array, in parallel threads; every file that cannot be used is named."""

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from comm.printable import printable
from workers.data.progress import Progress
from workers.data.source import Bytes
from workers.memory import free_memory

CHUNK = 64  # images that a thread takes at once
THREADS = 8  # at most; more than the processors would only fight over the interpreter
LIMIT = 10  # problems of one kind that are told one by one


def listed(problems: Iterable[str], kind: str) -> list[str]:
    """The first LIMIT problems and how many more of this kind there are."""
    every = list(problems)
    rest = len(every) - LIMIT
    return every if rest <= 0 else [*every[:LIMIT], f"... and {rest:,} more {kind}"]


def decode(root: Path, paths: Sequence[str], size: int | None) -> tuple[Bytes, list[str]]:
    """RGB images (count, 3, height, width) of `paths` under `root`, and all problems.

    Resized to size x size; without a size all must be like the first that can be read. Where there
    are problems the array is incomplete.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's name no file; what is wrong with one is raised
        height, width = (size, size) if size else _first_shape(root, paths)
        shape = (len(paths), 3, height, width)
        if problems := _too_much(root, shape):
            return np.zeros((0, *shape[1:]), np.uint8), problems
        job = _Job(root=root, resize=size is not None, images=np.zeros(shape, np.uint8))
        job.run(paths)
    problems = [
        *listed((text for _, text in sorted(job.unreadable)), "images that cannot be read"),
        *listed((text for _, text in sorted(job.misfits)), "images of another size"),
    ]
    return job.images, problems


@dataclass(kw_only=True, eq=False)
class _Job:
    """What the threads share: each writes its own rows of `images`."""

    root: Path
    resize: bool
    images: Bytes
    unreadable: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    misfits: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def run(self, paths: Sequence[str]) -> None:
        starts = range(0, len(paths), CHUNK)
        chunks = [paths[start : start + CHUNK] for start in starts]
        threads = min(THREADS, len(os.sched_getaffinity(0)))
        with (
            Progress(f"reading the images of {printable(str(self.root))}", len(paths)) as progress,
            ThreadPoolExecutor(threads) as pool,
        ):
            for count in pool.map(self._some, starts, chunks):
                progress.advance(count)

    def _some(self, start: int, paths: Sequence[str]) -> int:
        for index, path in enumerate(paths, start):
            self._place(index, path)
        return len(paths)

    def _place(self, index: int, path: str) -> None:
        from PIL import Image

        from workers.data.image import Unreadable, read

        height, width = self.images.shape[2:]
        try:
            image = read(self.root / path)
        except Unreadable as error:
            self.unreadable.append((path, f"{path} cannot be read as an image {error}"))
            return
        if self.resize and image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        if image.size != (width, height):
            text = (
                f"{path} is {image.width}x{image.height} and others are {width}x{height}: "
                "give --image-size to make all the same"
            )
            self.misfits.append((path, text))
            return
        self.images[index] = np.asarray(image).transpose(2, 0, 1)


def _first_shape(root: Path, paths: Sequence[str]) -> tuple[int, int]:
    """Height and width of the first image that can be read."""
    from workers.data.image import Unreadable, read

    for path in paths:
        try:
            image = read(root / path)
        except Unreadable:  # named when all are read
            continue
        return image.height, image.width
    return 1, 1


def _too_much(root: Path, shape: tuple[int, int, int, int]) -> list[str]:
    """The problem, if it is one, of an array of this shape: the kernel would end the process."""
    count, channels, height, width = shape
    needed, free = count * channels * height * width, free_memory()
    if needed <= free:
        return []
    return [
        f"the {count:,} images of {root} take {needed / 2**30:,.1f} GiB of memory at "
        f"{width}x{height}, and {free / 2**30:,.1f} GiB are free: give a smaller --image-size, "
        "as --image-size 64"
    ]
