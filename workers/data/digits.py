"""The 1797 handwritten digits of 8x8 that come with scikit-learn, resized; nothing to download.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), test part.
"""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from workers.data.augment import Augmentation
from workers.data.config import DataConfig
from workers.data.draw import permutation
from workers.data.source import Bytes, Contents, Labels, Source, needs_no_files

SIZE = 32
TEST_SHARE = 0.2


def digits(config: DataConfig) -> Source:
    """One channel, ten classes, a fixed split that keeps a fifth of every class for the test."""
    needs_no_files(config)
    size = config.image_size or SIZE
    return Source(name="digits", identity=(size,), read=lambda: _read(size))


def _read(size: int) -> Contents:
    from sklearn import datasets

    bunch = cast(Any, datasets).load_digits()
    grey = np.asarray(bunch.images, dtype=np.float64)  # (1797, 8, 8), values 0 .. 16
    labels = np.asarray(bunch.target, dtype=np.int64)
    images = _resized(np.rint(grey * (255 / 16)).astype(np.uint8), size)
    test = _test_part(labels)
    return Contents(
        classes=tuple(str(digit) for digit in range(10)),
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        augmentation=Augmentation(padding="zero", pad=2),
    )


def _resized(images: Bytes, size: int) -> Bytes:
    """Bilinear interpolation of (count, 8, 8) to (count, 1, size, size)."""
    from PIL import Image

    out = np.empty((len(images), 1, size, size), np.uint8)
    for place, image in zip(out, images, strict=True):
        place[0] = np.asarray(
            Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
        )
    return out


def _test_part(labels: Labels) -> npt.NDArray[np.bool_]:
    """Which images (count,) are for the test: the same share of every class."""
    test = np.zeros(len(labels), np.bool_)
    for digit in range(10):
        (members,) = np.nonzero(labels == digit)
        order = permutation(len(members), "digits", digit)
        test[members[order[: round(TEST_SHARE * len(members))]]] = True
    return test
