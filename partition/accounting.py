"""GN-DGL's Tables 4 and 5 from our own counter: the paper's accounting, kept apart from ours.

    MAC(k, g) = stem/G for k = 0, + the blocks of module k, grouped, + one full-width auxiliary net
                + pooling and linear layer for the last k
    training speed-up  = whole network / max MAC(k, g)
    inference speed-up = whole network / (stem + grouped blocks + pooling and linear layer)

It differs from a plan's own numbers in the last row: the paper gives its modules the auxiliary net
*and* the linear layer, and a grid with one group ends in the linear layer alone (spec §1.10).
"""

from dataclasses import dataclass

from partition.config import GridConfig
from partition.data_spec import DataSpec
from partition.plan import Plan
from partition.planner import plan
from partition.request import Request
from partition.wiring import Tail, Wiring


@dataclass(frozen=True, kw_only=True)
class Speedups:
    """Over the whole network, in MACs; `slowest` is max MAC(k, g)."""

    training: float
    inference: float
    slowest: int


def paper_speedups(depth: int, groups: int) -> Speedups:
    """ResNet-32 on CIFAR-10, cut as in the paper into depth x groups modules."""
    whole = _planned(1, 1, "fc")
    linear = whole.modules[0].head_macs
    grid = _planned(depth, groups, "head")
    macs: list[int] = []
    for module in grid.modules[: depth * groups]:
        last = module.address.k == depth - 1
        auxiliary = 0 if last and groups == 1 else module.head_macs
        macs.append(module.trunk_macs + auxiliary + last * linear)
    return Speedups(
        training=whole.whole_macs / max(macs),
        inference=grid.inference_speedup,
        slowest=max(macs),
    )


def _planned(depth: int, groups: int, tail: Tail) -> Plan:
    config = GridConfig(network="resnet32", depth=depth, groups=(groups,), cuts=("paper",))
    data = DataSpec(name="cifar10", shape=(3, 32, 32), classes=10, train=0, test=0, digest="")
    wiring = Wiring(share="maps", tail=tail)
    return plan(
        Request(method="paper", wiring=wiring, config=config, data=data, batch=1, eval_batch=1)
    )
