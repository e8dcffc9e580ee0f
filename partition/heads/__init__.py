"""Auxiliary nets: what a module's loss, or the read-out, is computed with. One file per family.

To add one: its name in `wiring.HeadKind`, a file here, a line in `BUILDERS`.
"""

from collections.abc import Callable

from torch import nn

from partition.heads.conv_fc import conv_fc
from partition.heads.layers import copied_layers
from partition.heads.mlp import mlp
from partition.heads.predsim import PredSim
from partition.heads.spec import HeadSpec
from partition.wiring import HeadKind


def nothing(spec: HeadSpec) -> nn.Module:
    """No head: the trunk's own logits, where it ends in a classifier, are the module's."""
    return nn.Identity()


BUILDERS: dict[HeadKind, Callable[[HeadSpec], nn.Module]] = {
    "0c1f": conv_fc,
    "0c2f": conv_fc,
    "1c1f": conv_fc,
    "1c2f": conv_fc,
    "1c3f": conv_fc,
    "2c2f": conv_fc,
    "mlp": mlp,
    "mlp-sr": mlp,
    "cnn": mlp,
    "mlp2": mlp,
    "layers": copied_layers,
    "pred": PredSim,
    "sim": PredSim,
    "predsim": PredSim,
    "none": nothing,
}


def build_head(spec: HeadSpec) -> nn.Module:
    """The head that maps (batch, *spec.shape) to (batch, spec.writes).

    pred, sim and predsim give a pair instead: (batch, classes) and the features to compare, either
    of them None where the kind has no such part.
    """
    return BUILDERS[spec.kind](spec)
