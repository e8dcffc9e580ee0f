"""Local-learning methods as one monolithic network: a reference for what `reference` leaves out.

Every network, auxiliary net and tail, with ragged groups, windowed sharing, contexts, decoders and
dropout: one joint loss, plain autograd, one optimiser. The trunk of each (k, g) is made of its own
small layers, so that groups may be unequal and read different inputs. Parameters start as torch
makes them, for comparisons `load` theirs. Nothing here imports the project. Numbers in brackets are
sections of the method's specification; (k, g) is depth module k, neuron group g.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.reference import State, chain, copied, demand_same, fill, joint_diversity, stem
from tests.reference_heads import auxiliary, copies_behind, pyramid

Losses = dict[str, dict[str, Tensor]]  # address, then "task", "reconstruction" or "similarity"
Mask = Callable[[str, int, int, int], Tensor]  # (where, step, rows, channels) to the factors

EMBEDDING = 128  # of the contrasting heads (5)
INNER = 12  # channels inside a decoder (5) and an image encoder (6)
PREDSIM = ("pred", "sim", "predsim")


class Layer(NamedTuple):
    """One layer of a network, and whether a max-pool leads on from it."""

    name: str
    kind: str
    width: int
    stride: int = 1
    pools: bool = False


def layers_of(network: str, widths: Sequence[int]) -> list[Layer]:
    """The layers of a network in order (1.1, 3.1, 4.1); `mlp` is ours."""
    if network == "mlp":
        return [Layer(f"layer{i}", "dense", width) for i, width in enumerate(widths)]
    if network == "cnn6":  # a pool in front of layers 1 and 3, counted from 0
        return [
            Layer(f"conv{i}", "conv", width, pools=i in (1, 3))
            for i, width in enumerate(widths, start=1)
        ]
    if network == "vgg6a":
        *maps, last = widths
        convs = [
            Layer(f"conv{i}", "conv-bias", width, pools=i in (1, 2, 3))
            for i, width in enumerate(maps, start=1)
        ]
        return [*convs, Layer("fc1", "dense", last)]
    blocks = (int(network.removeprefix("resnet")) - 2) // 6
    found = [Layer("stem", "stem", widths[0])]
    for stage in (1, 2, 3):
        for b in range(blocks):
            stride = 2 if stage > 1 and b == 0 else 1
            found.append(Layer(f"s{stage}b{b}", "block", widths[stage], stride))
    return found


class Drop(nn.Module):
    """Multiplies the channels `own` of `total` by what `mask` says, in training, at its `step`."""

    def __init__(self, mask: Mask, where: str, total: int, own: slice) -> None:
        super().__init__()
        self.mask, self.where, self.total, self.own, self.step = mask, where, total, own, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        factors = self.mask(self.where, self.step, len(x), self.total)[:, self.own].to(x)
        return x * factors.reshape(*x.shape[:2], *[1] * (x.ndim - 2))


def spans(width: int, groups: int) -> list[slice]:
    """Sizes as equal as possible, the first ones one more (3.3)."""
    size, more = divmod(width, groups)
    assert size > 0, f"{groups} groups of {width}"
    return [slice(a, b) for a, b in pairwise(g * size + min(g, more) for g in range(groups + 1))]


def extent(span: slice) -> int:
    return span.stop - span.start


class GroupBlock(nn.Module):
    """One group of a basic block (1.1); `skip` is its part of the input, None projects (1.2)."""

    def __init__(
        self, c_in: int, c_out: int, stride: int, skip: slice | None, drop: nn.Module
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.drop = drop
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.skip = skip
        if skip is None:
            self.short_conv = nn.Conv2d(c_in, c_out, 1, stride, bias=False)
            self.short_bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.short_bn(self.short_conv(x)) if self.skip is None else x[:, self.skip]
        y = self.drop(F.relu(self.bn1(self.conv1(x))))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


def unit(i: int, c_in: int, c_out: int, kernel: int) -> dict[str, nn.Module]:
    conv = nn.Conv2d(c_in, c_out, kernel, 1, kernel // 2)
    return {f"conv{i}": conv, f"bn{i}": nn.BatchNorm2d(c_out), f"relu{i}": nn.ReLU()}


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

    The layers of `network`, cut before the places `cuts`; `groups` has one entry per row. `head` is
    the auxiliary net (1.3, 4.1, 5, 7) or predsim's "pred", "sim" or "predsim" (3.2), which learns
    by "softmax" or "contrast"; `taper`: in the last stage its convolutions keep the map (5).
    `tail`: the last row ends in a linear layer ("fc") or an MLP (4.1), or like all others ("aux"),
    and with "head" a read-out stands behind it. `share` says what a head sees of the other groups
    of its row: "none", "maps", or "pooled" to at most `pool` x `pool`; of each a window of
    `share_ratio` (1.5). `context` is ContSup's R and E: how many inputs back, and whether the image
    (6). `lambdas` are (a1, a2, b1, b2) (5), and count only if the rows `reconstruct`. `mask` gives
    the dropout of the blocks of a ResNet, or behind the layers of the others.
    """

    def __init__(
        self,
        *,
        network: str,
        widths: tuple[int, ...],
        cuts: tuple[int, ...] = (),
        groups: tuple[int, ...],
        image: tuple[int, int, int],
        classes: int,
        slope: float = 0.0,
        head: str = "1c2f",
        copies: int = 2,
        pyramid: bool = False,
        task: str = "softmax",
        share: str = "none",
        pool: int = 2,
        share_ratio: float = 1.0,
        diversity: float = 0.0,
        temperature: float = 3.0,
        tail: str = "head",
        taper: bool = False,
        beta: float = 0.99,
        dim_in_decoder: int = 4096,
        reconstruct: bool = False,
        lambdas: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
        context: tuple[int, bool] = (0, False),
        mask: Mask | None = None,
    ) -> None:
        super().__init__()
        self.layers = layers_of(network, widths)
        bounds = list(pairwise((0, *cuts, len(self.layers))))
        assert all(a < b for a, b in bounds) and len(bounds) == len(groups), f"rows {bounds}"
        assert share in ("none", "maps", "pooled") and 0 < share_ratio <= 1
        assert tail in ("head", "fc", "mlp", "aux") and task in ("softmax", "contrast")
        self.depth, self.groups, self.image, self.classes = len(groups), groups, image, classes
        self.share, self.pool, self.share_ratio = share, pool, share_ratio
        self.diversity, self.temperature = diversity, temperature
        self.tail, self.task, self.head, self.beta = tail, task, head, beta
        self.copies, self.pyramid, self.limit = copies, pyramid, dim_in_decoder
        self.lambdas = lambdas if reconstruct else None
        self.context, self.mask, self.slope, self.taper = context, mask, slope, taper
        self.local_rows = self.depth - (tail in ("fc", "mlp"))  # with a local loss
        self.widen = 1.0 if network in ("vgg6a", "cnn6") else widths[0] / 16
        self.ends = [end - 1 for _, end in bounds]  # the last layer of each row
        self.outs = [self.layers[end] for end in self.ends]
        self.ins = [image[0], *(layer.width for layer in self.outs[:-1])]  # channels of each input
        self.leads = nn.ModuleList()  # what leads on from a row, for all of its groups
        self.parts = nn.ModuleDict()  # by address; a part's state is what the address holds
        size: tuple[int, ...] = image[1:]
        for k, (first, end) in enumerate(bounds):
            inputs = size
            for place in range(first, end):
                size = self.made(place, size)
                if place < end - 1:
                    size = self.led(place, size)
            for g in range(groups[k]):
                part = nn.ModuleDict({"trunk": self.make_trunk(first, end, k, g, inputs)})
                part["head"] = self.make_head(k, g, size)
                if reconstruct and k < self.local_rows:
                    own = spans(self.outs[k].width, groups[k])[g]
                    part["decoder"] = decoder(extent(own), image)
                part["contexts"] = self.make_contexts(k, g)
                self.parts[f"k{k}g{g}"] = part
            self.leads.append(self.lead(end - 1, slice(None)))
            size = self.led(end - 1, size)
        if tail == "head":
            kind = "0c1f" if head in PREDSIM else "1c2f" if head == "layers" else head
            hidden = max(1, int(128 * self.widen))
            shape, keeps = (widths[-1], *size), self.tapers(-1)
            readout = auxiliary(kind, shape, hidden=hidden, out=classes, keeps=keeps)
            self.parts[f"k{self.depth}g0"] = nn.ModuleDict({"head": readout})

    def made(self, place: int, size: tuple[int, ...]) -> tuple[int, ...]:
        """Height and width of what a layer makes of maps of this `size`; nothing if it is flat."""
        layer = self.layers[place]
        return () if layer.kind == "dense" else tuple(math.ceil(n / layer.stride) for n in size)

    def led(self, place: int, size: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(n // 2 for n in size) if self.layers[place].pools else size

    def lead(self, place: int, own: slice) -> nn.Module:
        """What leads on from a layer of a VGG: dropout, then a pool (3.1); of `own` channels."""
        name, kind, width, _, pools = self.layers[place]
        made = nn.Sequential()
        if self.mask is not None and kind != "block" and name != "stem":
            made.append(Drop(self.mask, f"outlet.{name}.dropout", width, own))
        return made.append(nn.MaxPool2d(2)) if pools else made

    def make_trunk(self, first: int, end: int, k: int, g: int, size: tuple[int, ...]) -> nn.Module:
        """The layers of (k, g); the first reads every channel of the row before (1.2, 3.3).

        What leads from layer to layer is part of it, and before a classifier at the end of the
        network also what leads to that: such a head reads what the next layer would (3.1).
        """
        made: dict[str, nn.Module] = {}
        before, groups = self.ins[k], self.groups[k]
        for place in range(first, end):
            name, kind, width, stride, _ = self.layers[place]
            whole, to, act = place == first, spans(width, groups)[g], nn.LeakyReLU(self.slope)
            c_in, c_out = before if whole else extent(spans(before, groups)[g]), extent(to)
            if kind == "dense":
                linear, bn = nn.Linear(c_in * math.prod(size), c_out), nn.BatchNorm1d(c_out)
                made[name] = chain(flat=nn.Flatten(), linear=linear, bn=bn, act=act)
            elif kind.startswith("conv"):
                conv = nn.Conv2d(c_in, c_out, 3, 1, 1, bias=kind == "conv-bias")
                made[name] = chain(conv=conv, bn=nn.BatchNorm2d(c_out), act=act)
            elif kind == "stem":
                made[name] = stem(c_in, c_out)
            else:
                drop: nn.Module = nn.Identity()
                if self.mask is not None:
                    drop = Drop(self.mask, f"trunk.{name}.dropout", width, to)
                skip = spans(before, groups)[g] if whole else slice(None)
                identity = stride == 1 and before == width
                made[name] = GroupBlock(c_in, c_out, stride, skip if identity else None, drop)
            size = self.made(place, size)
            if place < end - 1 or k >= self.local_rows:
                made[f"from-{name}"] = self.lead(place, to)
                size = self.led(place, size)
            before = width
        return chain(**made)

    def tapers(self, k: int) -> bool:
        """Whether the convolutions of row k's heads keep width and size: in the last stage (5)."""
        return self.taper and self.outs[k].width == self.outs[-1].width

    def make_head(self, k: int, g: int, size: tuple[int, ...]) -> nn.Module:
        """What turns the view of (k, g) on its row into class logits, embeddings or likenesses."""
        groups, ratio = self.groups[k], self.share_ratio
        sizes = [extent(span) for span in spans(self.outs[k].width, groups)]
        c_in = sizes[g]
        if self.share != "none":
            c_in += sum(int(ratio * c) for h, c in enumerate(sizes) if h != g)
        if self.share == "pooled":
            size = tuple(min(self.pool, n) for n in size)
        shape = (c_in, *size)
        if k >= self.local_rows:
            kind = {"fc": "0c1f", "mlp": "mlp2"}[self.tail]
            return auxiliary(kind, shape, hidden=0, out=self.classes)
        if self.head not in PREDSIM:
            features, alone = 128.0, groups > 1 and self.share == "none"  # (1.3)
            if alone:
                features = 128 / groups
            elif groups > 1 and ratio < 1:
                features = int(128 / groups) + int(ratio * (groups - 1) * 128 / groups)
            depth = pyramid(self.copies, k, self.depth) if self.pyramid else self.copies
            widths = [layer.width for layer in self.layers]
            return auxiliary(
                self.head,
                shape,
                hidden=max(1, int(features * self.widen)),
                out=EMBEDDING if self.task == "contrast" else self.classes,
                keeps=self.tapers(k),
                copies=copies_behind(self.ends[k], widths, depth, groups if alone else 1),
            )
        head = nn.ModuleDict()
        if self.head != "sim":
            height, width = size or (1, 1)
            down, across = pred_kernel(c_in, height, width, self.limit)
            head["pred"] = nn.Linear(c_in * (height // down) * (width // across), self.classes)
        if self.head != "pred":
            conv = nn.Conv2d(c_in, c_in, 3, 1, 1, bias=False)
            head["sim"] = conv if size else nn.Linear(c_in, c_in, bias=False)
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

    def outputs(self, images: Tensor, pixels: Tensor | None, step: int) -> dict[str, State]:
        assert tuple(images.shape[1:]) == self.image
        outputs: dict[str, State] = {}
        for drop in self.modules():
            if isinstance(drop, Drop):
                drop.step = step
        x, given = images.detach(), []
        for k, groups in enumerate(self.groups):
            inputs, source = self.supplemented(k, x, given)
            given.append(source)
            addresses = [f"k{k}g{g}" for g in range(groups)]
            trunks = [self.parts[address]["trunk"] for address in addresses]
            maps = torch.cat([f(i) for f, i in zip(trunks, inputs, strict=True)], dim=1)
            for g, address in enumerate(addresses):  # before any context, dropout or pooling
                outputs[address] = self.judged(k, g, maps, pixels)
            x = maps.detach()
            if k < self.local_rows:  # what a classifier at the end reads has been led on already
                x = self.leads[k](x)
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
        likeness = self.beta if self.head == "predsim" else 1.0
        task = 1 - self.beta if self.head == "predsim" else 1.0
        if k >= self.local_rows:  # the classifier at the end, wherever it stands
            return {"task": task}
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
    clip_norm: float | None = None,
) -> list[dict[str, dict[str, float]]]:
    """One optimiser over everything (1.6, 3.4), `lr[t]` at step t; each step's losses.

    `batches` are (images, labels, pixels). `momentum` and `nesterov` are for "sgd" only. The
    gradient of each address is scaled down to `clip_norm`.
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
        for part in monolith.parts.values() if clip_norm is not None else ():
            gradients = [p.grad for p in part.parameters() if p.grad is not None]
            norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
            for gradient in gradients:
                gradient.mul_(min(1.0, clip_norm / (norm + 1e-6)))  # as torch has it
        adjust.step()
        history.append({a: {n: x.item() for n, x in own.items()} for a, own in losses.items()})
    return history
