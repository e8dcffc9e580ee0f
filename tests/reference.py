"""GN-DGL as one monolithic network: the independent reference the multi-process runtime must match.

Grouped convolutions, one joint loss, plain autograd, one optimiser. Nothing here imports the
project, so agreement in float64 means that two separate readings of the method agree. Numbers in
brackets are sections of the method's specification; (k, g) is depth module k, neuron group g.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, permutations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Widths = tuple[int, int, int, int]  # stem, stage 1, stage 2, stage 3
State = dict[str, Tensor]


def chain(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def stem(c_in: int, c_out: int) -> nn.Module:
    """Never a grouped convolution (1.1)."""
    conv = nn.Conv2d(c_in, c_out, 3, 1, 1, bias=False)
    return chain(conv=conv, bn=nn.BatchNorm2d(c_out), relu=nn.ReLU())


class Block(nn.Module):
    """A basic block (1.1); one that `mixes` enters through ungrouped convolutions (1.2)."""

    def __init__(self, c_in: int, c_out: int, stride: int, groups: int, mixes: bool) -> None:
        super().__init__()
        entry = 1 if mixes else groups
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, groups=entry, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.identity = stride == 1 and c_in == c_out
        if not self.identity:
            self.short_conv = nn.Conv2d(c_in, c_out, 1, stride, groups=entry, bias=False)
            self.short_bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.identity else self.short_bn(self.short_conv(x))
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


def head_1c2f(c_in: int, features: int, classes: int) -> nn.Module:
    """The auxiliary net and the read-out head (1.3)."""
    return chain(
        conv0=nn.Conv2d(c_in, 2 * c_in, 3, 2, 1, bias=False),
        bn0=nn.BatchNorm2d(2 * c_in),
        relu0=nn.ReLU(),
        pool=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
        fc0=nn.Linear(2 * c_in, features),
        relu1=nn.ReLU(),
        fc1=nn.Linear(features, classes),
    )


def head_0c1f(c_in: int, classes: int) -> nn.Module:
    return chain(pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc0=nn.Linear(c_in, classes))


def joint_diversity(logits: Sequence[Tensor], labels: Tensor, temperature: float) -> Tensor:
    """div_k (1.5): mean cosine of the wrong-class votes over the batch and the ordered pairs.

    Gradients flow into both sides of every pair: nothing is stopped here.
    """
    groups, batch = len(logits), len(labels)
    normed: list[Tensor] = []  # n^g, each (batch, classes)
    for z in logits:
        p = torch.softmax(z / temperature, dim=1)
        q = p.masked_fill(F.one_hot(labels, p.shape[1]).bool(), 0.0)
        q = q / (q.sum(dim=1, keepdim=True) + 1e-8)
        normed.append(q / torch.sqrt(q.square().sum(dim=1, keepdim=True) + 1e-8))
    total = torch.stack([(a * b).sum() for a, b in permutations(normed, 2)]).sum()
    return total / (batch * groups * (groups - 1))


class Monolith(nn.Module):
    """The whole K x G grid in one module.

    `blocks` basic blocks per stage; `cuts` are the places in [stem, s1b0.., s2b0.., s3b0..] of the
    first block of each depth module but the first. `share` says what a head sees of the other
    groups of its row: "none", "maps", or "pooled" to at most `pool` x `pool`. `diversity` weighs
    the diversity term, 0 turns it off. `tail` is "head" or "fc". `head_widen` replaces w0/16 as
    the factor of every hidden width. `diversity_factor` 2 is the joint gradient; 1 halves it, as
    the paper's Eq. (1) taken literally does (1.5).
    """

    def __init__(
        self,
        *,
        blocks: int,
        widths: Widths,
        cuts: tuple[int, ...],
        groups: int,
        image: tuple[int, int, int],
        classes: int,
        share: str,
        pool: int,
        diversity: float,
        temperature: float,
        tail: str,
        head_widen: float | None = None,
        diversity_factor: float = 2.0,
    ) -> None:
        super().__init__()
        bounds = (0, *cuts, 1 + 3 * blocks)
        assert all(a < b for a, b in pairwise(bounds)), f"an empty module in {bounds}"
        assert all(width % groups == 0 for width in widths), f"{groups} groups of {widths}"
        assert share in ("none", "maps", "pooled") and tail in ("head", "fc")
        self.depth, self.groups, self.image = len(cuts) + 1, groups, image
        self.share, self.pool, self.tail = share, pool, tail
        self.diversity, self.temperature = diversity * diversity_factor / 2, temperature

        layers: list[tuple[str, nn.Module, int]]  # name, block, output width
        layers = [("stem", stem(image[0], widths[0]), widths[0])]
        for stage in (1, 2, 3):
            for b in range(blocks):
                c_in, c_out = layers[-1][2], widths[stage]
                stride = 2 if stage > 1 and b == 0 else 1
                mixes = len(layers) in cuts
                layers.append((f"s{stage}b{b}", Block(c_in, c_out, stride, groups, mixes), c_out))

        widen = widths[0] / 16 if head_widen is None else head_widen
        alone = share == "none" and groups > 1  # a head reads its own slice only, and shrinks
        features = max(1, int((128 / groups if alone else 128) * widen))
        self.trunks, self.heads = nn.ModuleList(), nn.ModuleDict()
        for k, (first, end) in enumerate(pairwise(bounds)):
            self.trunks.append(chain(**{name: block for name, block, _ in layers[first:end]}))
            c_in = layers[end - 1][2] // (groups if alone else 1)
            for g in range(groups):
                fc = tail == "fc" and k == self.depth - 1
                head = head_0c1f(c_in, classes) if fc else head_1c2f(c_in, features, classes)
                self.heads[f"k{k}g{g}"] = head
        if tail == "head":
            readout = head_1c2f(widths[3], max(1, int(128 * widen)), classes)
            self.heads[f"k{self.depth}g0"] = readout
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):  # with the full C_out, also where grouped (1.6)
                fan_out = conv.kernel_size[0] * conv.kernel_size[1] * conv.out_channels
                nn.init.normal_(conv.weight, 0.0, math.sqrt(2 / fan_out))

    def head_input(self, maps: Tensor, g: int) -> Tensor:
        """u_k^g (1.5): the own slice attached, at its natural place; the others detached."""
        if self.share == "pooled":  # each axis for itself, never enlarged
            height, width = maps.shape[2:]
            maps = F.adaptive_avg_pool2d(maps, (min(self.pool, height), min(self.pool, width)))
        slices = maps.chunk(self.groups, dim=1)
        if self.share == "none":
            return slices[g]
        return torch.cat([s if h == g else s.detach() for h, s in enumerate(slices)], dim=1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The logits (batch, classes) of every head, by address."""
        assert tuple(images.shape[1:]) == self.image
        logits: dict[str, Tensor] = {}
        maps = images
        for k, trunk in enumerate(self.trunks):
            maps = trunk(maps.detach())
            for g in range(self.groups):
                logits[f"k{k}g{g}"] = self.heads[f"k{k}g{g}"](self.head_input(maps, g))
        if self.tail == "head":
            logits[f"k{self.depth}g0"] = self.heads[f"k{self.depth}g0"](maps.detach())
        return logits

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The joint loss of all rows and the read-out head (1.5); each address's cross-entropy."""
        logits = self(images)
        entropies = {address: F.cross_entropy(z, labels) for address, z in logits.items()}
        total = torch.stack(list(entropies.values())).sum()
        if self.diversity != 0 and self.groups > 1:
            for k in range(self.depth):
                row = [logits[f"k{k}g{g}"] for g in range(self.groups)]
                total = total + self.diversity * joint_diversity(row, labels, self.temperature)
        return total, entropies

    @torch.no_grad()
    def votes(self, images: Tensor) -> list[Tensor]:
        """P_m (1.8), each (batch, classes): rows 0..K-1, then the read-out head if there is one."""
        training = self.training
        logits = self.eval()(images)
        self.train(training)
        rows: dict[str, list[Tensor]] = {}
        for address, z in logits.items():
            rows.setdefault(address.split("g")[0], []).append(torch.softmax(z, dim=1))
        return [torch.stack(row).mean(dim=0) for row in rows.values()]

    def live(self) -> dict[str, State]:
        """The tensors of each address, sharing memory: rows of the trunk's, all of its own head's.

        A BatchNorm's count of batches has no rows: the groups of a row share it.
        """
        parts: dict[str, State] = {address: {} for address in self.heads}
        for k, trunk in enumerate(self.trunks):
            for name, t in trunk.state_dict().items():
                for g in range(self.groups):
                    parts[f"k{k}g{g}"][f"trunk.{name}"] = t.chunk(self.groups)[g] if t.ndim else t
        for address, head in self.heads.items():
            parts[address] |= {f"head.{name}": t for name, t in head.state_dict().items()}
        return parts

    def states(self) -> dict[str, State]:
        """Copies of all parameters and BatchNorm buffers, by address and per-module name."""
        return {address: copied(part) for address, part in self.live().items()}

    def load(self, states: Mapping[str, State]) -> None:
        """The inverse of `states`; ValueError if anything is missing, unknown or does not fit."""
        live = self.live()
        demand_same("addresses", live, states)
        for address, part in live.items():
            fill(address, part, states[address])
        for address, part in self.live().items():  # a shared count keeps what came last
            for name, t in part.items():
                if t.ndim == 0 and not torch.equal(t, states[address][name]):
                    raise ValueError(f"{address} {name}: the groups of one row disagree")


def copied(state: State) -> State:
    return {name: t.detach().clone() for name, t in state.items()}


def demand_same(where: str, wanted: Iterable[str], given: Iterable[str]) -> None:
    if odd := sorted(set(wanted) ^ set(given)):
        raise ValueError(f"{where}: missing or unknown: {odd}")


@torch.no_grad()
def fill(where: str, live: State, given: State) -> None:
    demand_same(where, live, given)
    for name, t in live.items():
        if given[name].shape != t.shape:
            raise ValueError(f"{where} {name}: {tuple(given[name].shape)}, not {tuple(t.shape)}")
        t.copy_(given[name])


def train(
    monolith: Monolith,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    lr: Sequence[float],
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 1e-4,
) -> list[dict[str, float]]:
    """One SGD over everything (1.6), `lr[t]` at step t; each step's cross-entropies, by address."""
    monolith.train()
    sgd = torch.optim.SGD(
        monolith.parameters(), lr[0], momentum, weight_decay=weight_decay, nesterov=nesterov
    )
    history: list[dict[str, float]] = []
    for t, (images, labels) in enumerate(batches):
        sgd.param_groups[0]["lr"] = lr[t]
        total, entropies = monolith.loss(images, labels)
        sgd.zero_grad()
        total.backward()
        sgd.step()
        history.append({address: entropy.item() for address, entropy in entropies.items()})
    return history


def ensemble(votes: list[Tensor]) -> Tensor:
    """The layer-wise ensemble (1.8), weights 2^m / (2^M - 1): (batch, classes), rows sum to one.

    The released code divides by M as well, which changes no decision and is left out.
    """
    total = 2 ** len(votes) - 1
    return torch.stack([vote * (2**m / total) for m, vote in enumerate(votes)]).sum(dim=0)


class PlainBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        if stride != 1 or c_in != c_out:
            self.short_conv = nn.Conv2d(c_in, c_out, kernel_size=1, stride=stride, bias=False)
            self.short_bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if hasattr(self, "short_conv"):
            x = self.short_bn(self.short_conv(x))
        return torch.relu(out + x)


def plain_resnet(blocks: int, widths: Widths, in_channels: int, classes: int) -> nn.Module:
    """An ordinary ResNet-(6n+2): what depth 1, groups 1, tail "fc" must be exactly."""
    conv = nn.Conv2d(in_channels, widths[0], kernel_size=3, padding=1, bias=False)
    net = chain(conv=conv, bn=nn.BatchNorm2d(widths[0]), relu=nn.ReLU())
    for stage, stride in ((1, 1), (2, 2), (3, 2)):
        net.add_module(f"s{stage}b0", PlainBlock(widths[stage - 1], widths[stage], stride))
        for b in range(1, blocks):
            net.add_module(f"s{stage}b{b}", PlainBlock(widths[stage], widths[stage], 1))
    net.add_module("pool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flat", nn.Flatten())
    net.add_module("fc", nn.Linear(widths[3], classes))
    return net


def plain_live(module: nn.Module) -> State:
    places = {"conv": "trunk.stem.conv", "bn": "trunk.stem.bn", "fc": "head.fc0"}
    named: State = {}
    for name, t in module.state_dict().items():
        top, rest = name.split(".", 1)
        named[f"{places.get(top, f'trunk.{top}')}.{rest}"] = t
    return named


def plain_state(module: nn.Module) -> State:
    """Copies of a `plain_resnet`'s tensors, named as k0g0 of depth 1, groups 1, tail "fc" is."""
    return copied(plain_live(module))


def load_plain(module: nn.Module, state: State) -> None:
    """The inverse of `plain_state`."""
    fill("plain", plain_live(module), state)
