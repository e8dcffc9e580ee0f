"""What a plan is made from."""

from dataclasses import dataclass

from partition.config import GridConfig
from partition.data_spec import DataSpec
from partition.wiring import Wiring


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything a plan is made from: batches are the largest ones."""

    method: str
    wiring: Wiring
    config: GridConfig
    data: DataSpec
    batch: int
    eval_batch: int
    dtype: str = "float32"
    channels_last: bool = False
