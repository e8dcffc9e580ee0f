"""What the planner knows of a dataset: its shape and size, never an image."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """A dataset as the planner sees it.

    `shape` is (channels, height, width) of one image; `train`, `val` and `test` count images
    (`val` those that come with the dataset, not those that --val-split takes from `train`);
    `digest` is the SHA-256 of pixels and labels, so that a plan's digest covers the data too.
    """

    name: str
    shape: tuple[int, int, int]
    classes: int
    train: int
    test: int
    digest: str
    val: int = 0
