"""How many batches an epoch has and how many rows each; and what is wrong with a choice of them."""

import math
from dataclasses import dataclass

from partition.data_spec import DataSpec
from workers.data.config import DataConfig


def held_out(train: int, val_split: float) -> int:
    """How many of `train` images are kept for validation."""
    return round(train * val_split)


@dataclass(frozen=True, kw_only=True)
class Batches:
    """`images` taken `batch` at a time; the last batch may be smaller, or is dropped."""

    images: int
    batch: int
    drop_last: bool = False

    def __len__(self) -> int:
        """Batches in one pass over the images."""
        return self.images // self.batch if self.drop_last else -(-self.images // self.batch)

    def span(self, index: int) -> tuple[int, int]:
        """Where batch `index` of one pass begins and ends. Raises IndexError outside the pass."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        return index * self.batch, min((index + 1) * self.batch, self.images)


def training_batches(config: DataConfig, train: int) -> Batches:
    """The batches of one epoch over what the validation split leaves of `train` images."""
    images = train - held_out(train, config.val_split)
    return Batches(images=images, batch=config.batch, drop_last=config.drop_last)


def check_batches(config: DataConfig, spec: DataSpec) -> list[str]:
    """Every problem of these batches on this dataset, each with its remedy; empty if none."""
    problems = [*_batch_problems(config, spec)]
    if config.eval_batch < 1:
        problems.append(f"--eval-batch {config.eval_batch}: give 1 or more")
    if config.pad is not None and config.pad < 0:
        problems.append(f"--pad {config.pad}: give 0 or more")
    if config.pad and config.augment == "none":
        problems.append(
            f"--pad {config.pad} has no meaning with --augment none: give --augment reflect, zero "
            "or edge"
        )
    for name, values in (("mean", config.mean), ("std", config.std)):
        if values is None:
            continue
        if len(values) != spec.shape[0]:
            problems.append(
                f"--{name} has {len(values)} values: "
                f"the images of {spec.name} have {spec.shape[0]} channels, give one for each"
            )
        if not all(math.isfinite(value) and (name == "mean" or value > 0) for value in values):
            kind = "numbers" if name == "mean" else "numbers above 0"
            problems.append(f"--{name} {' '.join(map(str, values))}: give {kind}")
    return problems


def _batch_problems(config: DataConfig, spec: DataSpec) -> list[str]:
    problems: list[str] = []
    if config.batch < 1:
        problems.append(f"--batch {config.batch}: give 1 or more")
    if not 0 <= config.val_split < 1:
        problems.append(
            f"--val-split {config.val_split}: give a share from 0 up to, not including, 1"
        )
        return problems
    if config.val_split > 0 and spec.val:
        problems.append(
            f"--val-split {config.val_split} takes validation images from train/, and "
            f"{spec.name} has {spec.val} of its own in val/: leave it out, or move val/ away"
        )
        return problems
    held = held_out(spec.train, config.val_split)
    if config.val_split > 0 and not 0 < held < spec.train:
        kind = "validation" if held == 0 else "training"
        problems.append(
            f"--val-split {config.val_split} of {spec.train} images leaves no {kind} image: "
            f"give a {'larger' if held == 0 else 'smaller'} share"
        )
        return problems
    if config.batch < 1:
        return problems
    images = spec.train - held
    if config.batch > images:
        problems.append(
            f"--batch {config.batch} is more than the {images} training images of {spec.name}: "
            f"give {images} or less"
        )
    elif config.batch == 1:
        problems.append("--batch 1: BatchNorm needs two images to average over: give 2 or more")
    elif images % config.batch == 1 and not config.drop_last:
        problems.append(
            f"--batch {config.batch} leaves the last of {images} training images alone, "
            "and BatchNorm needs two to average over: add --drop-last or give another --batch"
        )
    return problems
