"""Image files to one array, in parallel threads; every file that cannot be used is named."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workers.data.progress import Progress
from workers.data.source import Bytes

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
    shape = (size, size) if size else _first_shape(root, paths)
    job = _Job(
        root=root, resize=size is not None, images=np.zeros((len(paths), 3, *shape), np.uint8)
    )
    starts = range(0, len(paths), CHUNK)
    chunks = [paths[start : start + CHUNK] for start in starts]
    threads = min(THREADS, len(os.sched_getaffinity(0)))
    with (
        Progress(f"reading the images of {root}", len(paths)) as progress,
        ThreadPoolExecutor(threads) as pool,
    ):
        for count in pool.map(job.run, starts, chunks):
            progress.advance(count)
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

    def run(self, start: int, paths: Sequence[str]) -> int:
        for index, path in enumerate(paths, start):
            self._place(index, path)
        return len(paths)

    def _place(self, index: int, path: str) -> None:
        from PIL import Image

        height, width = self.images.shape[2:]
        try:
            with Image.open(self.root / path) as stored:
                if stored.mode[0] in "IF":  # 16 or 32 bits: conversion would turn most of it white
                    raise ValueError(f"its mode is {stored.mode}, not 8 bits per channel")
                image = stored.convert("RGB")
        except Exception as error:  # Pillow's decoders raise almost anything
            reason = str(error).replace(str(self.root / path), path) or type(error).__name__
            text = f"{path} cannot be read as an image ({reason}): repair or remove it"
            self.unreadable.append((path, text))
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
    """Height and width of the first image that can be opened; its pixels are not read."""
    from PIL import Image

    for path in paths:
        try:
            with Image.open(root / path) as image:
                return image.height, image.width
        except Exception:  # named when it is read
            continue
    return 1, 1
