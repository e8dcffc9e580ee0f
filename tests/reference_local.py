"""Local-learning methods as one monolithic network: a reference for what `reference` leaves out.

Predsim on VGG6a with ragged groups, InfoPro, ContSup and windowed sharing: one joint loss, plain
autograd, one optimiser. The trunk of each (k, g) is made of its own small layers, so that groups
may be unequal and read different inputs. Parameters start as torch makes them, for comparisons
`load` theirs. Nothing here imports the project. Numbers in brackets are sections of the method's
specification; (k, g) is depth module k, neuron group g.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.reference import (
    State,
    chain,
    copied,
    demand_same,
    fill,
    head_0c1f,
    joint_diversity,
    stem,
)

Losses = dict[str, dict[str, Tensor]]  # address, then "task", "reconstruction" or "similarity"
Mask = Callable[[str, int, int, int], Tensor]  # (layer, step, rows, channels) to the factors

VGG6A = ("conv1", "conv2", "conv3", "conv4", "fc1")
POOLED = ("conv1", "conv2", "conv3")  # a max-pool stands behind these (3.1)
EMBEDDING = 128  # of the contrasting heads (5)
INNER = 12  # channels inside a decoder (5) and an image encoder (6)
TASKS = ("softmax", "contrast", "pred", "sim", "predsim")


class Layer(NamedTuple):
    name: str
    width: int
    stride: int = 1


def spans(width: int, groups: int) -> list[slice]:
    """Sizes as equal as possible, the first ones one more (3.3)."""
    size, more = divmod(width, groups)
    assert size > 0, f"{groups} groups of {width}"
    return [slice(a, b) for a, b in pairwise(g * size + min(g, more) for g in range(groups + 1))]


def extent(span: slice) -> int:
    return span.stop - span.start


class GroupBlock(nn.Module):
    """One group of a basic block (1.1); `skip` is its part of the input, None projects (1.2)."""

    def __init__(self, c_in: int, c_out: int, stride: int, skip: slice | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.skip = skip
        if skip is None:
            self.short_conv = nn.Conv2d(c_in, c_out, 1, stride, bias=False)
            self.short_bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.short_bn(self.short_conv(x)) if self.skip is None else x[:, self.skip]
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


def unit(
    i: int, c_in: int, c_out: int, kernel: int, stride: int = 1, bias: bool = True
) -> dict[str, nn.Module]:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=bias)
    return {f"conv{i}": conv, f"bn{i}": nn.BatchNorm2d(c_out), f"relu{i}": nn.ReLU()}


def aux_1c2f(c_in: int, features: int, out: int, taper: bool) -> nn.Module:
    """The auxiliary net (1.3); tapered it neither widens nor strides, as InfoPro's last (5)."""
    c_mid, stride = (c_in, 1) if taper else (2 * c_in, 2)
    pooled = {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten()}
    full = {"fc0": nn.Linear(c_mid, features), "relu1": nn.ReLU(), "fc1": nn.Linear(features, out)}
    return chain(**unit(0, c_in, c_mid, 3, stride, bias=False), **pooled, **full)


def decoder(c_in: int, image: tuple[int, int, int]) -> nn.Module:
    """From a boundary map back to pixels: first up-sampled, then convolved (5)."""
    grow = nn.Upsample(size=image[1:], mode="bilinear", align_corners=True)
    last = nn.Conv2d(INNER, image[0], 3, 1, 1)
    return chain(grow=grow, **unit(0, c_in, INNER, 3), conv1=last, sigmoid=nn.Sigmoid())


def pred_kernel(channels: int, height: int, width: int, limit: int) -> tuple[int, int]:
    """The pooling before a pred head: the height doubles first, then the width, and so on (3.2)."""
    kernel, size, axis = [1, 1], (height, width), 0
    while channels * (height // kernel[0]) * (width // kernel[1]) > limit:
        if all(2 * k > n for k, n in zip(kernel, size, strict=True)):
            break  # one pixel is left, and still too much
        if 2 * kernel[axis] <= size[axis]:
            kernel[axis] *= 2
        axis = 1 - axis
    return kernel[0], kernel[1]


def supcon(embeddings: Tensor, labels: Tensor, temperature: float = 0.07) -> Tensor:
    """The supervised contrastive loss of one view (5)."""
    z = F.normalize(embeddings, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    cosines = z @ z.T / temperature
    logs = cosines - cosines.masked_fill(itself, -math.inf).logsumexp(dim=1, keepdim=True)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    anchors = logs.masked_fill(~positive, 0.0).sum(dim=1) / positive.sum(dim=1).clamp(min=1)
    return -anchors.mean()


def similarities(a: Tensor) -> Tensor:
    """S(a) (3.2): the cosines of the centred rows, of a map's spatial spread where it has one."""
    if a.ndim == 4 and a.shape[1] > 3 and a.shape[2] > 1:
        a = a.flatten(2).std(dim=2)
    a = a.flatten(1)
    a = a - a.mean(dim=1, keepdim=True)
    a = a / (1e-8 + torch.linalg.vector_norm(a, dim=1, keepdim=True))
    return (a @ a.T).clamp(-1, 1)


class LocalMonolith(nn.Module):
    """All rows of a grid in one module.

    The trunk is a ResNet of `blocks` basic blocks per stage, cut before the places `cuts` of
    [stem, s1b0.., s2b0.., s3b0..], or without `blocks` a VGG6a, one row per layer (3.1). `groups`
    has one entry per row. `share` says what a head sees of the other groups of its row: "none",
    "maps", or "pooled" to at most `pool` x `pool`; of each a window of `share_ratio` (1.5).
    `context` is ContSup's R and E: how many inputs back, and whether the image (6). `lambdas` are
    (a1, a2, b1, b2) (5), and count only if the rows `reconstruct`. `mask` gives VGG6a's dropout.
    """

    def __init__(
        self,
        *,
        blocks: int | None = None,
        widths: tuple[int, ...],
        cuts: tuple[int, ...] = (),
        groups: tuple[int, ...],
        image: tuple[int, int, int],
        classes: int,
        slope: float = 0.0,
        share: str = "none",
        pool: int = 2,
        share_ratio: float = 1.0,
        diversity: float = 0.0,
        temperature: float = 3.0,
        tail: str = "head",
        taper: bool = False,
        task: str = "softmax",
        beta: float = 0.99,
        dim_in_decoder: int = 4096,
        reconstruct: bool = False,
        lambdas: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
        context: tuple[int, bool] = (0, False),
        mask: Mask | None = None,
    ) -> None:
        super().__init__()
        self.vgg = blocks is None
        if blocks is None:
            self.layers = [Layer(name, width) for name, width in zip(VGG6A, widths, strict=True)]
            cuts = (1, 2, 3, 4)
            assert not reconstruct or tail == "fc", "nothing grows an image from the flat row"
            assert task in ("pred", "sim", "predsim"), f"no {task} head fits the flat row"
        else:
            assert mask is None, "dropout is VGG6a's"
            self.layers = [Layer("stem", widths[0])]
            for stage in (1, 2, 3):
                strides = [2 if stage > 1 and b == 0 else 1 for b in range(blocks)]
                names = [f"s{stage}b{b}" for b in range(blocks)]
                self.layers += map(Layer, names, [widths[stage]] * blocks, strides)
        bounds = list(pairwise((0, *cuts, len(self.layers))))
        assert all(a < b for a, b in bounds) and len(bounds) == len(groups), f"rows {bounds}"
        assert share in ("none", "maps", "pooled") and 0 < share_ratio <= 1
        assert tail in ("head", "fc", "aux") and task in TASKS
        self.depth, self.groups, self.image, self.classes = len(groups), groups, image, classes
        self.share, self.pool, self.share_ratio = share, pool, share_ratio
        self.diversity, self.temperature = diversity, temperature
        self.tail, self.task, self.beta, self.limit = tail, task, beta, dim_in_decoder
        self.lambdas = lambdas if reconstruct else None
        self.context, self.mask, self.slope = context, mask, slope
        self.local_rows = self.depth - (tail == "fc")  # with a local loss
        self.widen, self.taper = widths[0] / 16, taper
        self.outs = [self.layers[end - 1] for _, end in bounds]  # the last layer of each row
        self.ins = [image[0], *(layer.width for layer in self.outs[:-1])]  # channels of each input
        self.parts = nn.ModuleDict()  # by address; a part's state is what the address holds
        size = image[1:]
        for k, (first, end) in enumerate(bounds):
            inputs = math.prod(size)  # pixels of a channel, as the row receives it
            for layer in self.layers[first:end]:
                size = (math.ceil(size[0] / layer.stride), math.ceil(size[1] / layer.stride))
            for g in range(groups[k]):
                part = nn.ModuleDict({"trunk": self.make_trunk(first, end, k, g, inputs)})
                part["head"] = self.make_head(k, g, size)
                if reconstruct and k < self.local_rows:
                    own = spans(self.outs[k].width, groups[k])[g]
                    part["decoder"] = decoder(extent(own), image)
                part["contexts"] = self.make_contexts(k, g)
                self.parts[f"k{k}g{g}"] = part
            if self.vgg and self.outs[k].name in POOLED:
                size = (size[0] // 2, size[1] // 2)
        if tail == "head":
            if self.vgg:
                readout = chain(fc0=nn.Linear(widths[-1], classes))
            else:
                features = max(1, int(128 * self.widen))
                readout = aux_1c2f(widths[-1], features, classes, self.tapers(-1))
            self.parts[f"k{self.depth}g0"] = nn.ModuleDict({"head": readout})

    def make_trunk(self, first: int, end: int, k: int, g: int, inputs: int) -> nn.Module:
        """The layers of (k, g); the first reads every channel of the row before (1.2, 3.3)."""
        made: dict[str, nn.Module] = {}
        before = self.ins[k]
        for place in range(first, end):
            name, width, stride = self.layers[place]
            c_out = extent(spans(width, self.groups[k])[g])
            act = nn.LeakyReLU(self.slope)
            if self.vgg and name == "fc1":
                linear, bn = nn.Linear(before * inputs, c_out), nn.BatchNorm1d(c_out)
                made[name] = chain(flat=nn.Flatten(), linear=linear, bn=bn, act=act)
            elif self.vgg:
                conv = nn.Conv2d(before, c_out, 3, 1, 1)  # with a bias (3.1)
                made[name] = chain(conv=conv, bn=nn.BatchNorm2d(c_out), act=act)
            elif place == 0:
                made[name] = stem(before, c_out)
            else:
                own = spans(before, self.groups[k])[g]
                c_in, skip = (before, own) if place == first else (extent(own), slice(None))
                identity = stride == 1 and before == width
                made[name] = GroupBlock(c_in, c_out, stride, skip if identity else None)
            before = width
        return chain(**made)

    def tapers(self, k: int) -> bool:
        """Whether the 1c2f heads of row k keep width and size: at the last stage's width (5)."""
        return self.taper and self.outs[k].width == self.outs[-1].width

    def make_head(self, k: int, g: int, size: tuple[int, int]) -> nn.Module:
        """What turns the view of (k, g) on its row into class logits, embeddings or likenesses."""
        groups, ratio, flat = self.groups[k], self.share_ratio, self.outs[k].name == "fc1"
        sizes = [extent(span) for span in spans(self.outs[k].width, groups)]
        c_in = sizes[g]
        if self.share != "none":
            c_in += sum(int(ratio * c) for h, c in enumerate(sizes) if h != g)
        if k >= self.local_rows:
            if flat:
                return chain(fc0=nn.Linear(c_in, self.classes))
            return head_0c1f(c_in, self.classes)
        if self.task in ("softmax", "contrast"):
            features = 128.0  # (1.3)
            if groups > 1 and self.share == "none":
                features = 128 / groups
            elif groups > 1 and ratio < 1:
                features = int(128 / groups) + int(ratio * (groups - 1) * 128 / groups)
            out = EMBEDDING if self.task == "contrast" else self.classes
            return aux_1c2f(c_in, max(1, int(features * self.widen)), out, self.tapers(k))
        height, width = (1, 1) if flat else size
        if self.share == "pooled":
            height, width = min(self.pool, height), min(self.pool, width)
        head = nn.ModuleDict()
        if self.task != "sim":
            down, across = pred_kernel(c_in, height, width, self.limit)
            head["pred"] = nn.Linear(c_in * (height // down) * (width // across), self.classes)
        if self.task != "pred":
            conv = nn.Conv2d(c_in, c_in, 3, 1, 1, bias=False)
            head["sim"] = nn.Linear(c_in, c_in, bias=False) if flat else conv
        return head

    def make_contexts(self, k: int, g: int) -> nn.ModuleDict:
        """The encoders of (k, g): all belong to the receiver and write its slice of x_{k-1} (6)."""
        back, image = self.context
        made = nn.ModuleDict()
        if k > 0 and self.context != (0, False):
            c_out = extent(spans(self.ins[k], self.groups[k])[g])
            if image:
                made["image"] = chain(
                    **unit(0, self.image[0], INNER, 3), **unit(1, INNER, c_out, 3)
                )
            for source in range(k - 1, k - 1 - back, -1):
                if source >= (1 if image else 0):
                    made[f"k{source}"] = chain(**unit(0, self.ins[source], c_out, 1))
        return made

    def supplemented(self, k: int, x: Tensor, given: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """i_k^g of every group, and the tensor that rows behind read as their source k (6)."""
        if k == 0 or self.context == (0, False):  # the image is never supplemented
            return [x] * self.groups[k], x
        inputs: list[Tensor] = []
        slices: list[Tensor] = []
        for g, own in enumerate(spans(x.shape[1], self.groups[k])):
            piece = x[:, own]
            for name, encoder in self.parts[f"k{k}g{g}"]["contexts"].items():
                source = given[0] if name == "image" else given[int(name[1:])]
                piece = piece + F.adaptive_avg_pool2d(encoder(source), x.shape[2:])
            inputs.append(torch.cat([x[:, : own.start], piece, x[:, own.stop :]], dim=1))
            slices.append(piece.detach())
        return inputs, torch.cat(slices, dim=1)

    def head_input(self, k: int, g: int, maps: Tensor) -> Tensor:
        """u_k^g (1.5): the own slice attached, at its natural place; the others' windows detached.

        Each window starts in its group where the one before ended in its own, wrapped around.
        """
        if self.share == "pooled" and maps.ndim == 4:  # each axis for itself, never enlarged
            height, width = maps.shape[2:]
            maps = F.adaptive_avg_pool2d(maps, (min(self.pool, height), min(self.pool, width)))
        slices = [maps[:, span] for span in spans(maps.shape[1], self.groups[k])]
        if self.share == "none":
            return slices[g]
        seen: list[Tensor] = []
        start = 0
        for h, piece in enumerate(slices):
            if h == g:
                seen.append(piece)
                continue
            channels = piece.shape[1]
            count = int(self.share_ratio * channels)
            window = (start + torch.arange(count, device=maps.device)) % channels
            seen.append(piece.detach()[:, window])
            start = (start + count) % channels
        return torch.cat(seen, dim=1)

    def judged(self, k: int, g: int, maps: Tensor, pixels: Tensor | None) -> State:
        """All that the losses of (k, g) look at, but the labels."""
        part, seen, out = self.parts[f"k{k}g{g}"], self.head_input(k, g, maps), State()
        head = part["head"]
        if not isinstance(head, nn.ModuleDict):
            contrasts = self.task == "contrast" and k < self.local_rows
            out["embedding" if contrasts else "logits"] = head(seen)
        elif "pred" in head:
            pooled = seen
            if seen.ndim == 4:
                pooled = F.avg_pool2d(seen, pred_kernel(*seen.shape[1:], self.limit))
            out["logits"] = head["pred"](pooled.flatten(1))
        if isinstance(head, nn.ModuleDict) and "sim" in head:
            out["similar"] = head["sim"](seen)
        if "decoder" in part and pixels is not None:
            out["rebuilt"] = part["decoder"](maps[:, spans(maps.shape[1], self.groups[k])[g]])
        return out

    def onward(self, k: int, maps: Tensor, step: int) -> Tensor:
        """What row k sends on: detached, in VGG6a dropped out, then pooled (3.1)."""
        x, name = maps.detach(), self.outs[k].name
        if self.mask is not None and self.training:
            factors = self.mask(name, step, *x.shape[:2]).to(x)
            x = x * factors.reshape(*x.shape[:2], *[1] * (x.ndim - 2))
        return F.max_pool2d(x, 2) if self.vgg and name in POOLED else x

    def outputs(self, images: Tensor, pixels: Tensor | None, step: int) -> dict[str, State]:
        assert tuple(images.shape[1:]) == self.image
        outputs: dict[str, State] = {}
        x, given = images.detach(), []
        for k, groups in enumerate(self.groups):
            inputs, source = self.supplemented(k, x, given)
            given.append(source)
            addresses = [f"k{k}g{g}" for g in range(groups)]
            trunks = [self.parts[address]["trunk"] for address in addresses]
            maps = torch.cat([f(i) for f, i in zip(trunks, inputs, strict=True)], dim=1)
            for g, address in enumerate(addresses):  # before any context, dropout or pooling
                outputs[address] = self.judged(k, g, maps, pixels)
            x = self.onward(k, maps, step)
        if self.tail == "head":
            address = f"k{self.depth}g0"
            outputs[address] = {"logits": self.parts[address]["head"](x)}
        return outputs

    def forward(
        self, images: Tensor, pixels: Tensor | None = None, step: int = 0
    ) -> dict[str, Tensor]:
        """The logits, else embeddings, else `sim` activations of every head, by address.

        The decoders run only where there are `pixels` to rebuild.
        """
        return {
            address: next(out[kind] for kind in ("logits", "embedding", "similar") if kind in out)
            for address, out in self.outputs(images, pixels, step).items()
        }

    def weights(self, k: int) -> dict[str, float]:
        """What weighs each loss of row k in the total (3.1, 3.2, 5)."""
        likeness = self.beta if self.task == "predsim" else 1.0
        task = 1 - self.beta if self.task == "predsim" else 1.0
        if k >= self.local_rows:  # the last row of tail "fc", or the read-out head
            return {"task": task if self.vgg and self.tail == "head" else 1.0}
        if self.lambdas is None:
            return {"task": task, "similarity": likeness}
        r = k / (self.local_rows - 1) if self.local_rows > 1 else 0.0
        a1, a2, b1, b2 = self.lambdas
        lam1, lam2 = a1 * (1 - r) + b1 * r, a2 * (1 - r) + b2 * r
        return {"reconstruction": lam1, "task": lam2 * task, "similarity": lam2 * likeness}

    def loss(
        self, images: Tensor, labels: Tensor, pixels: Tensor | None = None, step: int = 0
    ) -> tuple[Tensor, Losses]:
        """The joint loss of the whole grid; each address's own losses as they enter it."""
        assert self.lambdas is None or pixels is not None, "nothing to reconstruct"
        losses: Losses = {}
        rows: dict[int, list[Tensor]] = {}  # the class logits
        for address, out in self.outputs(images, pixels, step).items():
            k, own = int(address[1:].split("g")[0]), {}
            if "logits" in out:
                rows.setdefault(k, []).append(out["logits"])
                own["task"] = F.cross_entropy(out["logits"], labels)
            if "embedding" in out:
                own["task"] = supcon(out["embedding"], labels)
            if "similar" in out:
                target = F.one_hot(labels, self.classes).to(out["similar"])
                gap = similarities(out["similar"]) - similarities(target)
                own["similarity"] = gap.square().mean()
            if "rebuilt" in out:
                own["reconstruction"] = F.binary_cross_entropy(out["rebuilt"], pixels)
            losses[address] = {name: self.weights(k)[name] * t for name, t in own.items()}
        total = torch.stack([t for own in losses.values() for t in own.values()]).sum()
        for row in rows.values():
            if self.diversity != 0 and len(row) > 1:  # with its own weight (1.5)
                total = total + self.diversity * joint_diversity(row, labels, self.temperature)
        return total, losses

    @torch.no_grad()
    def votes(self, images: Tensor) -> list[Tensor]:
        """P_m (1.8), each (batch, classes): the rows with class logits, then the read-out head."""
        training = self.training
        outputs = self.eval().outputs(images, None, 0)
        self.train(training)
        rows: dict[str, list[Tensor]] = {}
        for address, out in outputs.items():
            if "logits" in out:
                rows.setdefault(address.split("g")[0], []).append(out["logits"].softmax(dim=1))
        return [torch.stack(row).mean(dim=0) for row in rows.values()]

    def live(self) -> dict[str, State]:
        """The tensors of each address, sharing memory."""
        return {address: dict(part.state_dict()) for address, part in self.parts.items()}

    def states(self) -> dict[str, State]:
        """Copies of all parameters and BatchNorm buffers, by address and per-module name."""
        return {address: copied(part) for address, part in self.live().items()}

    def load(self, states: Mapping[str, State]) -> None:
        """The inverse of `states`; ValueError if anything is missing, unknown or does not fit."""
        live = self.live()
        demand_same("addresses", live, states)
        for address, part in live.items():
            fill(address, part, states[address])


def train_local(
    monolith: LocalMonolith,
    batches: Iterable[tuple[Tensor, Tensor, Tensor | None]],
    *,
    lr: Sequence[float],
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 1e-4,
    optimizer: str = "sgd",
) -> list[dict[str, dict[str, float]]]:
    """One optimiser over everything (1.6, 3.4), `lr[t]` at step t; each step's losses.

    `batches` are (images, labels, pixels). `momentum` and `nesterov` are for "sgd" only.
    """
    assert optimizer in ("sgd", "adam")
    monolith.train()
    tuned = list(monolith.parameters())
    adjust: torch.optim.Optimizer = torch.optim.Adam(tuned, lr[0], weight_decay=weight_decay)
    if optimizer == "sgd":
        adjust = torch.optim.SGD(
            tuned, lr[0], momentum, weight_decay=weight_decay, nesterov=nesterov
        )
    history: list[dict[str, dict[str, float]]] = []
    for t, (images, labels, pixels) in enumerate(batches):
        adjust.param_groups[0]["lr"] = lr[t]
        total, losses = monolith.loss(images, labels, pixels, t)
        adjust.zero_grad()
        total.backward()
        adjust.step()
        history.append({a: {n: x.item() for n, x in own.items()} for a, own in losses.items()})
    return history
