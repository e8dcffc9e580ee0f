"""How far feedback weights are from forward weights, and DTP's gradient from backprop's.

Backprop's gradient takes the road of the targets, behind them; nothing else would have to be sent.
"""

import math

import torch
from torch import Tensor

from partition.build import LocalModule
from workers.replicas import added
from workers.step import Inbox, Step, await_target, send_target
from workers.targets import error, layers_of, target_before

BETA = 0.005  # of the targets whose gradient is compared, as published (dtp §1.8)


def diagnosed(
    module: LocalModule, inbox: Inbox, labels: Tensor, *, corrected: bool
) -> Step[dict[str, float]]:
    """Angles in degrees, and distances relative to the second, of every layer's weights.

    `angle`, `distance`: of the mirror from the layer. `gradient angle`, `gradient distance`: of the
    local losses' gradient over β from the mean cross-entropy's, which backprop would follow.
    """
    layers = [*layers_of(module, inbox.features, inward=True)]
    top = layers[-1].s.detach()
    if module.plan.head.votes:
        gradient = error(top, labels) / inbox.batch
        shift = -BETA * inbox.batch * gradient  # from what the layer made to its target
    else:
        shift = (yield from await_target()).clone()  # the next message may take its place
        gradient = yield from await_target()
    learned: list[Tensor] = [p for layer in layers for p in module.layer(layer.name).parameters()]
    ours: list[Tensor] = []
    theirs: list[Tensor] = []
    for layer in reversed(layers):
        parameters = [*module.layer(layer.name).parameters()]
        local = shift / (-BETA * inbox.batch)
        mine = torch.autograd.grad(layer.s, parameters, local, retain_graph=True)
        *exact, gradient = torch.autograd.grad(layer.s, [*parameters, layer.x], gradient)
        ours, theirs = [*mine, *ours], [*exact, *theirs]
        if layer.index:
            target = layer.s.detach() + shift
            shift = target_before(module, layer, target, corrected=corrected) - layer.x.detach()
    if layers[0].index:
        yield from send_target(shift)
        yield from send_target(gradient)
    dtp = dict(zip(learned, (yield from added(module, "gradients", ours)), strict=True))
    backprop = dict(zip(learned, (yield from added(module, "gradients", theirs)), strict=True))
    notes: dict[str, float] = {}
    for layer in layers:
        name, weight = layer.name, module.layer(layer.name).weight
        if layer.index:
            notes |= apart_by(name, module.mirror(name).weight, weight)
        notes |= apart_by(name, dtp[weight], backprop[weight], of="gradient ")
    return notes


@torch.no_grad()
def apart_by(layer: str, this: Tensor, that: Tensor, *, of: str = "") -> dict[str, float]:
    """The angle between two tensors in degrees, and |this - that| / |that|; nan if one is 0 or nan.

    A linear mirror's weight is the other way round.
    """
    a, b = this.flatten(1), that.flatten(1)
    a = a if a.shape == b.shape else a.T
    length, other, between = ((t * t).sum().sqrt().item() for t in (a, b, a - b))
    angle = distance = math.nan
    if 0 < length < math.inf and 0 < other < math.inf:
        cosine = (a * b).sum().item() / (length * other)
        angle, distance = math.degrees(math.acos(min(1.0, max(-1.0, cosine)))), between / other
    return {f"{of}angle {layer}": angle, f"{of}distance {layer}": distance}
