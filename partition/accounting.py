"""The papers' own accounting from our own counter, kept apart from what a plan says of itself.

    MAC(k, g) = stem/G for k = 0, + the blocks of module k, grouped, + one full-width auxiliary net
                + pooling and linear layer for the last k
    training speed-up  = whole network / max MAC(k, g)
    inference speed-up = whole network / (stem + grouped blocks + pooling and linear layer)

GN-DGL's Tables 4 and 5 differ from a plan's own numbers in the last row: the paper gives its
modules the auxiliary net *and* the linear layer, and a grid with one group ends in the linear layer
alone (spec §1.10). Table 4's InfoPro adds a decoder to every auxiliary net; ContSup's contexts are
counted by themselves (spec §6).
"""

from dataclasses import dataclass
from functools import cache

from partition.config import GridConfig
from partition.data_spec import DataSpec
from partition.plan import Plan
from partition.planner import plan
from partition.request import Request
from partition.wiring import Wiring


@dataclass(frozen=True, kw_only=True)
class Speedups:
    """Over the whole network, in MACs; `slowest` is max MAC(k, g)."""

    training: float
    inference: float
    slowest: int


@dataclass(frozen=True, kw_only=True)
class ContextCost:
    """What all context encoders of a network have together; MACs of one image, also in use."""

    macs: int
    parameters: int


def paper_speedups(depth: int, groups: int) -> Speedups:
    """ResNet-32 on CIFAR-10, cut as in the paper into depth x groups modules."""
    whole = _planned(1, 1, Wiring(tail="fc"))
    linear = whole.modules[0].head_macs
    grid = _planned(depth, groups, Wiring(share="maps"))
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


def infopro_speedup(depth: int, *, keeps: bool) -> float:
    """Training speed-up of InfoPro on the same network: an auxiliary net and a decoder per module.

    GN-DGL's Table 4 has its own auxiliary nets, twice as wide as what they read; with `keeps` they
    are InfoPro's, 64→64 in the last stage. The last module has the linear layer alone.
    """
    grid = _planned(depth, 1, Wiring(tail="fc", decoder=True, keeps=keeps))
    return grid.whole_macs / max(
        module.trunk_macs + module.head_macs + module.decoder_macs for module in grid.modules
    )


def context_cost(depth: int, *, memory: int, image: bool) -> ContextCost:
    """ContSup's encoders on the same network, for a mode of so much `memory` and the `image`."""
    without = _planned(depth, 1, Wiring(tail="fc"))
    grid = _planned(depth, 1, Wiring(tail="fc", memory=memory, image=image))
    return ContextCost(
        macs=sum(module.context_macs for module in grid.modules),
        parameters=_parameters(grid) - _parameters(without),
    )


def _parameters(grid: Plan) -> int:
    return sum(module.parameters for module in grid.modules)


@cache
def _planned(depth: int, groups: int, wiring: Wiring) -> Plan:
    config = GridConfig(network="resnet32", depth=depth, groups=(groups,), cuts=("paper",))
    data = DataSpec(name="cifar10", shape=(3, 32, 32), classes=10, train=0, test=0, digest="")
    return plan(
        Request(method="paper", wiring=wiring, config=config, data=data, batch=1, eval_batch=1)
    )
