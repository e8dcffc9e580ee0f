"""The datasets by name. To add one: a file beside this one, and its name here.

One that torchvision reads is a row of the table in `published.py` instead.
"""

from collections.abc import Callable, Mapping

from comm.errors import BadInput
from partition.nearest import nearest
from workers.data.config import DataConfig
from workers.data.digits import digits
from workers.data.folder import folder
from workers.data.imagenet32 import imagenet32
from workers.data.published import PUBLISHED
from workers.data.source import Source
from workers.data.synthetic import synthetic
from workers.data.vision import published

DATASETS: Mapping[str, Callable[[DataConfig], Source]] = {
    "digits": digits,
    "synthetic": synthetic,
    **dict.fromkeys(PUBLISHED, published),
    "imagenet32": imagenet32,
    "folder": folder,
}


def source_of(config: DataConfig) -> Source:
    """The source that the configuration names. Raises BadInput if it cannot be found."""
    make = DATASETS.get(config.dataset)
    if make is None:
        raise BadInput([f"unknown dataset {config.dataset!r}{nearest(config.dataset, DATASETS)}"])
    return make(config)
