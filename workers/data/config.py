"""Which dataset, and how it becomes batches: the configuration and its command-line help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The dataset, its batches and its augmentation."""

    # Lines end where sentences do: the command line's help keeps these line breaks.

    dataset: str = "digits"
    """digits (built in, tiny), synthetic (generated), cifar10, cifar100, svhn, stl10, mnist,
    fashion-mnist (all six: torchvision's files), imagenet32 (its published batch files)
    or folder (images in DATA_DIR/train/CLASS/ and DATA_DIR/test/CLASS/)."""

    data_dir: Path | None = None
    """Where the dataset's files are. Only read, never written but by --download."""

    download: bool = False
    """Fetch the dataset's files into --data-dir if they are not there."""

    image_size: int | None = None
    """Make every image this many pixels high and wide.
    Default: 32 for digits and synthetic, else the size that the images have."""

    batch: int = 128
    """Images in a training batch."""

    eval_batch: int = 256
    """Images in an evaluation batch; changes no result."""

    val_split: float = 0.0
    """Share of the training images held out, drawn by the seed.
    Above 0, evaluation during training uses these instead of the test images."""

    drop_last: bool = False
    """Leave out the last batch of an epoch when it is smaller than the others."""

    augment: Literal["auto", "none", "reflect", "zero", "edge"] = "auto"
    """Random crops after padding by reflection, with zeros or the edge; none: no crops, no flips.
    auto: reflect, pad 4, flips (cifar10, cifar100, folder);
    zero, pad 4, flips (stl10, imagenet32); zero, pad 2, flips (fashion-mnist);
    zero, pad 2 (svhn, mnist, digits); none (synthetic)."""

    pad: int | None = None
    """Pixels of padding on every side before the random crop. Default: as --augment says."""

    flip: Literal["auto", "on", "off"] = "auto"
    """Mirror half of the training images. Default: as --augment says."""

    mean: tuple[float, ...] | None = None
    """Subtracted from each channel, in units where white is 1.
    Default: the published values if there are any, else the mean of the training images."""

    std: tuple[float, ...] | None = None
    """Divides each channel after the mean, in the same units. Default: as for the mean."""
