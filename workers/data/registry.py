"""The datasets by name. To add one: a file beside this one, and its name here."""

from collections.abc import Callable, Mapping

from comm.errors import BadInput
from partition.nearest import nearest
from workers.data.cifar10 import cifar10
from workers.data.config import DataConfig
from workers.data.digits import digits
from workers.data.folder import folder
from workers.data.source import Source
from workers.data.synthetic import synthetic

DATASETS: Mapping[str, Callable[[DataConfig], Source]] = {
    "digits": digits,
    "synthetic": synthetic,
    "cifar10": cifar10,
    "folder": folder,
}


def source_of(config: DataConfig) -> Source:
    """The source that the configuration names. Raises BadInput if it cannot be found."""
    make = DATASETS.get(config.dataset)
    if make is None:
        raise BadInput([f"unknown dataset {config.dataset!r}{nearest(config.dataset, DATASETS)}"])
    return make(config)
