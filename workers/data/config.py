"""Which dataset, and how it becomes batches: the configuration and its command-line help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from partition.advanced import Advanced


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The dataset, its batches and its augmentation."""

    dataset: str = "digits"
    """Dataset; see `list datasets`."""

    data_dir: Path | None = None
    """Where the dataset's files are. Only read, never written but by --download."""

    download: bool = False
    """Fetch the files into --data-dir if they are not there."""

    image_size: int | None = None
    """Resize images to so many pixels in height and width. Default: their own size; 32 for digits
    and synthetic."""

    batch: int = 128
    """Images in a training batch."""

    eval_batch: Advanced[int] = 256
    """Images in an evaluation batch; changes no result."""

    val_split: float = 0.0
    """Share of the training images that is held out, and evaluated while training instead of the
    test images."""

    drop_last: Advanced[bool] = False
    """Leave out the last batch of an epoch when it is smaller than the others."""

    augment: Literal["auto", "none", "reflect", "zero", "edge"] = "auto"
    """Random crops and flips of training images. reflect, zero, edge: crops, after such padding.
    none: neither. auto: reflect for cifar10, cifar100 and folder, none for synthetic, else zero."""

    pad: Advanced[int | None] = None
    """Pixels of padding on every side before the random crop. Default: the dataset's, 2 for digits,
    svhn, mnist and fashion-mnist, else 4."""

    flip: Advanced[Literal["auto", "on", "off"]] = "auto"
    """Mirror half of the training images. auto: the dataset's; on for cifar10, cifar100, stl10,
    imagenet32, fashion-mnist and folder."""

    mean: Advanced[tuple[float, ...] | None] = None
    """What is subtracted from each channel, where white is 1. Default: the published values if
    there are any, else the mean of the training images."""

    std: Advanced[tuple[float, ...] | None] = None
    """What each channel is divided by after that, where white is 1. Default: likewise."""
