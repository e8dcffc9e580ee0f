"""Random crops of padded images and random mirror images, for a whole batch at once."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from workers.data.config import DataConfig
from workers.data.draw import words

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """For training images: pad every side, crop back to size at random, mirror half of them."""

    padding: Literal["reflect", "zero", "edge"] = "zero"
    pad: int = 0
    flip: bool = False

    def __bool__(self) -> bool:
        return self.pad > 0 or self.flip


def chosen(config: DataConfig, usual: Augmentation) -> Augmentation:
    """The augmentation asked for; `usual` (the dataset's own) fills in what was left open."""
    match config.augment:
        case "auto":
            base = usual
        case "none":
            base = Augmentation()
        case "reflect" | "zero" | "edge":
            base = Augmentation(padding=config.augment, pad=usual.pad or 4, flip=usual.flip)
    return Augmentation(
        padding=base.padding,
        pad=base.pad if config.pad is None else config.pad,
        flip=base.flip if config.flip == "auto" else config.flip == "on",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """Where each image of a batch is cropped and whether it is mirrored; three arrays (rows,)."""

    top: npt.NDArray[np.int64]  # 0 .. 2 * pad, in the padded image
    left: npt.NDArray[np.int64]
    flip: npt.NDArray[np.bool_]


def drawn(rows: int, how: Augmentation, *, seed: int, step: int) -> Draws:
    """The draws of one step: a pure function of its arguments."""
    top, left, side = words(3 * rows, seed, "augment", step).reshape(3, rows)
    places = np.uint64(2 * how.pad + 1)
    return Draws(
        top=(top % places).astype(np.int64),
        left=(left % places).astype(np.int64),
        flip=(side >> np.uint64(63)).astype(np.bool_) & how.flip,
    )


def augmented(images: Bytes, how: Augmentation, draws: Draws) -> Bytes:
    """Pad, crop and mirror; `images` (rows, channels, height, width) is left as it is."""
    rows, _, height, width = images.shape
    sides = ((0, 0), (0, 0), (how.pad, how.pad), (how.pad, how.pad))
    padded = np.pad(images, sides, mode="constant" if how.padding == "zero" else how.padding)
    windows = sliding_window_view(padded, (height, width), axis=(2, 3))
    # (rows, channels, tops, lefts, height, width): a view, of which one window per image is copied
    crops: Bytes = windows[np.arange(rows), :, draws.top, draws.left]
    crops[draws.flip] = crops[draws.flip, :, :, ::-1]
    return np.ascontiguousarray(crops)
