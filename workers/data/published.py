"""The published datasets that torchvision reads: all that differs between them, in one table.

Sources: Y. LeCun et al., Gradient-Based Learning Applied to Document Recognition (1998);
A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009);
Y. Netzer et al., Reading Digits in Natural Images (2011); A. Coates et al., An Analysis of
Single-Layer Networks (2011); H. Xiao et al., Fashion-MNIST (2017).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.data.augment import Augmentation


@dataclass(frozen=True, kw_only=True)
class Published:
    """A dataset of torchvision. `files` are those it insists on, relative to --data-dir."""

    title: str
    kind: str  # the name of torchvision's class
    url: str
    files: tuple[str, ...]
    splits: bool = False  # torchvision's class takes split="train" or "test", not train=True
    apart: bool = False  # and fetches only the files of that split
    size: int = 32
    augmentation: Augmentation
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def command(self, root: Path) -> str:
        """The line for a shell that fetches the files to `root`."""
        calls = [f"{self.kind}({str(root)!r}, download=True)"]
        if self.apart:
            calls.append(f"{self.kind}({str(root)!r}, split='test', download=True)")
        return f'python -c "from torchvision.datasets import {self.kind}; {"; ".join(calls)}"'

    def open(self, root: Path, part: str, *, download: bool = False) -> Any:
        """Torchvision's object of the part "train" or "test".

        Each file is compared with its published MD5 before anything in it is unpickled.
        """
        from torchvision import datasets

        which: dict[str, Any] = {"split": part} if self.splits else {"train": part == "train"}
        return getattr(datasets, self.kind)(root, download=download, **which)


TORONTO = "https://www.cs.toronto.edu/~kriz"
CIFAR: dict[str, Any] = {
    "augmentation": Augmentation(padding="reflect", pad=4, flip=True),
    "mean": (125.3 / 255, 123.0 / 255, 113.9 / 255),
    "std": (63.0 / 255, 62.1 / 255, 66.7 / 255),
}
RAW = tuple(
    f"raw/{part}-{what}-ubyte"
    for part in ("train", "t10k")
    for what in ("images-idx3", "labels-idx1")
)
HALF: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

PUBLISHED: Mapping[str, Published] = {
    "cifar10": Published(
        title="CIFAR-10",
        kind="CIFAR10",
        url=f"{TORONTO}/cifar-10-python.tar.gz",
        files=tuple(
            f"cifar-10-batches-py/{name}"
            for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
        ),
        **CIFAR,
    ),
    "cifar100": Published(
        title="CIFAR-100",
        kind="CIFAR100",
        url=f"{TORONTO}/cifar-100-python.tar.gz",
        files=tuple(f"cifar-100-python/{name}" for name in ("train", "test", "meta")),
        **CIFAR,
    ),
    "svhn": Published(  # its train split only, without the 531,131 easier images of "extra"
        title="SVHN",
        kind="SVHN",
        url="http://ufldl.stanford.edu/housenumbers/",
        files=("train_32x32.mat", "test_32x32.mat"),
        splits=True,
        apart=True,
        augmentation=Augmentation(padding="zero", pad=2),  # a mirrored digit is another sign
        **HALF,
    ),
    "stl10": Published(  # its labelled images only; torchvision insists on the others being there
        title="STL-10",
        kind="STL10",
        url="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        files=tuple(
            f"stl10_binary/{name}"
            for name in (
                *("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"),
                *("unlabeled_X.bin", "class_names.txt"),
            )
        ),
        splits=True,
        size=96,
        augmentation=Augmentation(padding="zero", pad=4, flip=True),
        **HALF,
    ),
    # Of the papers, DTP's alone uses these two, and its recipes say how. Here, as most do: padding
    # by 2, flips where the mirror image is one of the same class; and moments of their own.
    "mnist": Published(
        title="MNIST",
        kind="MNIST",
        url="https://yann.lecun.com/exdb/mnist/",
        files=tuple(f"MNIST/{name}" for name in RAW),
        size=28,
        augmentation=Augmentation(padding="zero", pad=2),
    ),
    "fashion-mnist": Published(
        title="Fashion-MNIST",
        kind="FashionMNIST",
        url="https://github.com/zalandoresearch/fashion-mnist",
        files=tuple(f"FashionMNIST/{name}" for name in RAW),
        size=28,
        augmentation=Augmentation(padding="zero", pad=2, flip=True),
    ),
}
