"""Generated images of ten classes: a smooth pattern per class under noise; learnt within seconds.

Waves and random bytes only, so that every machine generates the same images.
"""

import numpy as np
import numpy.typing as npt

from workers.data.augment import Augmentation
from workers.data.config import DataConfig
from workers.data.draw import permutation, words
from workers.data.source import Bytes, Contents, Labels, Source, needs_no_files

CLASSES = 10
CHANNELS = 3
SIZE = 32
TRAIN, TEST = 2048, 512
WAVES = 3  # summed in one channel of one pattern
CONTRAST = 24.0  # grey levels that a pattern's channel may rise or fall
NOISE = 144  # grey levels between the darkest and the brightest noise


def synthetic(config: DataConfig) -> Source:
    """2048 training and 512 test images (3, size, size), equally many of each class."""
    needs_no_files(config)
    size = config.image_size or SIZE
    identity = (size, TRAIN, TEST, WAVES, CONTRAST, NOISE)
    return Source(name="synthetic", identity=identity, read=lambda: _read(size))


def _read(size: int) -> Contents:
    patterns = np.stack([_pattern(number, size) for number in range(CLASSES)])
    train_images, train_labels = _part("train", TRAIN, patterns)
    test_images, test_labels = _part("test", TEST, patterns)
    return Contents(
        classes=tuple(f"pattern{number}" for number in range(CLASSES)),
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        augmentation=Augmentation(),
    )


def _pattern(number: int, size: int) -> npt.NDArray[np.float64]:
    """The waves of one class, (channels, size, size), between -CONTRAST and CONTRAST."""
    draws = words(CHANNELS * WAVES * 3, "synthetic", "pattern", number)
    turns = draws.astype(np.float64).reshape(CHANNELS, WAVES, 3, 1, 1) / 2**64  # each in 0 .. 1
    across, down, phase = np.floor(turns[:, :, 0] * 4), np.floor(turns[:, :, 1] * 4), turns[:, :, 2]
    y, x = np.meshgrid(np.arange(size) / size, np.arange(size) / size, indexing="ij")
    waves = np.cos(2 * np.pi * (across * x + down * y + phase))  # (channels, waves, size, size)
    return CONTRAST * waves.mean(axis=1)


def _part(name: str, count: int, patterns: npt.NDArray[np.float64]) -> tuple[Bytes, Labels]:
    """Images and labels of one part: the pattern of the class, then uniform noise around grey."""
    labels = permutation(count, "synthetic", name, "labels") % CLASSES
    shape = (count, *patterns.shape[1:])
    pixels = int(np.prod(shape))
    noise = words(-(-pixels // 8), "synthetic", name, "noise").view(np.uint8)[:pixels]
    bright = noise.reshape(shape).astype(np.float32) * (NOISE / 255) + (255 - NOISE) / 2
    images = np.rint(bright + patterns.astype(np.float32)[labels])
    return np.clip(images, 0, 255).astype(np.uint8), labels
