"""Batches as a pure function of (seed, step), augmentation included: no state to lose."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workers.data.augment import augmented, chosen, drawn
from workers.data.batches import Batches, held_out, training_batches
from workers.data.config import DataConfig
from workers.data.draw import permutation
from workers.data.prepared import Prepared
from workers.data.source import Bytes, Labels

Split = Literal["val", "test"]


class Feed:
    """The training batches of every step, and the evaluation batches of each split.

    Holds no state but a cache: any step may be asked at any time, in any order, by any process.
    `config` must have passed `check_batches`. Steps count from 0 over all epochs.
    """

    def __init__(
        self,
        prepared: Prepared,
        config: DataConfig,
        *,
        seed: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._prepared, self._seed, self._dtype = prepared, seed, dtype
        self._augmentation = chosen(config, prepared.augmentation)
        self._mean = _per_channel(config.mean or prepared.mean, dtype)
        self._std = _per_channel(config.std or prepared.std, dtype)

        train = prepared.spec.train
        held = held_out(train, config.val_split)
        order = permutation(train, seed, "val") if held else np.arange(train)
        self._train = np.sort(order[held:])
        self._batches = training_batches(config, train)
        self._epoch = (0, permutation(len(self._train), seed, "shuffle", 0))

        def split(images: Bytes, labels: Labels, members: npt.NDArray[np.int64]) -> "_Split":
            batches = Batches(images=len(members), batch=config.eval_batch)
            return _Split(images=images, labels=labels, members=members, batches=batches)

        test = np.arange(prepared.spec.test)
        tested = split(prepared.test_images, prepared.test_labels, test)
        self._splits: dict[Split, _Split] = {"test": tested}
        if held:
            val = np.sort(order[:held])
            self._splits["val"] = split(prepared.train_images, prepared.train_labels, val)
        elif prepared.val_images is not None and prepared.val_labels is not None:
            val = np.arange(prepared.spec.val)
            self._splits["val"] = split(prepared.val_images, prepared.val_labels, val)

    @property
    def steps_per_epoch(self) -> int:
        """Training steps in one pass over the training images."""
        return len(self._batches)

    def rows(self, step: int) -> int:
        """Images in the batch of this step; the last of an epoch may be smaller."""
        begin, end = self._batches.span(step % self.steps_per_epoch)
        return end - begin

    def labels(self, step: int) -> Tensor:
        """The labels of a training step, (rows,) int64."""
        return torch.from_numpy(self._prepared.train_labels[self._members(step)])

    def images(self, step: int) -> Tensor:
        """The images of a training step, augmented, normalised: (rows, channels, height, width)."""
        images = self._prepared.train_images[self._members(step)]
        how = self._augmentation
        if how:
            images = augmented(images, how, drawn(len(images), how, seed=self._seed, step=step))
        return self._normalised(images)

    @property
    def splits(self) -> tuple[Split, ...]:
        """What can be evaluated: "test", and "val" if the dataset has it or it is held out."""
        return tuple(self._splits)

    def eval_steps(self, split: Split) -> int:
        """Batches in one pass over a split. Raises KeyError for one that is not in `splits`."""
        return len(self._splits[split].batches)

    def eval_labels(self, split: Split, index: int) -> Tensor:
        """The labels of batch `index` of a split, in the order of the dataset, (rows,) int64."""
        part = self._splits[split]
        return torch.from_numpy(part.labels[part.at(index)])

    def eval_images(self, split: Split, index: int) -> Tensor:
        """The images of batch `index` of a split, normalised: (rows, channels, height, width)."""
        part = self._splits[split]
        return self._normalised(part.images[part.at(index)])

    def denormalised(self, images: Tensor) -> Tensor:
        """The pixels, 0 to 1, of normalised images (…, channels, height, width) on any device."""
        mean, std = self._mean.to(images.device), self._std.to(images.device)
        return images.to(mean.dtype).mul(std).add_(mean).clamp_(0, 1)

    def _members(self, step: int) -> npt.NDArray[np.int64]:
        """Which images of the dataset make up the batch of a training step, (rows,)."""
        if step < 0:
            raise IndexError(f"step {step}: steps count from 0")
        epoch, index = divmod(step, self.steps_per_epoch)
        cached, order = self._epoch
        if cached != epoch:
            order = permutation(len(self._train), self._seed, "shuffle", epoch)
            self._epoch = (epoch, order)
        begin, end = self._batches.span(index)
        return self._train[order[begin:end]]

    def _normalised(self, images: Bytes) -> Tensor:
        # computed in float32 even for a half-precision feed, which is rounded once, at the end
        scaled = torch.from_numpy(images).to(self._mean.dtype)
        return scaled.div_(255).sub_(self._mean).div_(self._std).to(self._dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Split:
    """Some images of the dataset, taken in order for evaluation."""

    images: Bytes
    labels: Labels
    members: npt.NDArray[np.int64]
    batches: Batches

    def at(self, index: int) -> npt.NDArray[np.int64]:
        begin, end = self.batches.span(index)
        return self.members[begin:end]


def _per_channel(values: tuple[float, ...], dtype: torch.dtype) -> Tensor:
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    return torch.tensor(values, dtype=wide).reshape(-1, 1, 1)
