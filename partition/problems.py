"""What can be wrong with a grid, in sentences: the situation and the next move."""

from collections.abc import Iterator

from comm.address import Grid
from partition.nearest import nearest
from partition.networks.block import Network
from partition.papers import BALANCED, CUTS
from partition.request import Request
from partition.spans import Span
from partition.wiring import TAILS, Wiring

Shape = tuple[int, ...]
KINDS_OF_CUTS = ("macs", "even", "single", "paper", "balanced")


def grid_problems(request: Request, net: Network | None) -> Iterator[str]:
    """What is wrong with depth, groups and the rest; of a network that is known, its widths too."""
    config, wiring, groups = request.config, request.wiring, request.config.groups
    if config.depth < 1:
        yield f"--depth {config.depth}: a grid has at least one row"
    else:
        yield from _row_problems(request, net)
    yield from _replica_problems(request)
    for size in sorted(set(groups)):
        if size < 1:
            yield f"--groups {size}: every row has at least one group"
        elif net is not None and net.sliceable:
            yield from _width_problems(size, net)
    if config.window < 1:
        yield f"--window {config.window}: at least one batch must be able to be under way"
    if wiring.pool < 1:
        yield f"--pool {wiring.pool}: maps can not be pooled to less than 1 x 1"
    if not 0 < wiring.ratio <= 1:
        yield f"--share-ratio {wiring.ratio:g}: above 0, at most 1"
    if not 0 <= config.dropout < 1:
        yield f"--dropout {config.dropout:g}: from 0 up to, not including, 1"
    for name, value in (("dropout", config.dropout), ("slope", config.slope)):
        if value and net is not None and name not in net.takes:
            yield f"--{name} {value:g}: {net.name} has none: leave it out"
    if wiring.layers < 1:
        yield f"--layers {wiring.layers}: copy at least one"
    if wiring.head == "layers" and net is not None and not any(b.residual for b in net.blocks):
        yield (
            f"--head layers copies residual blocks, and {net.name} has none: choose a ResNet, or "
            "another --head"
        )
    yield from _replay_problems(request)
    if wiring.feedback and net is not None:
        layers = len(net.blocks) - 1
        if not net.classifies:
            yield (
                f"{request.method} sends targets back through feedback mirrors, and {net.name} has "
                "none: use --network simple_vgg or lenet"
            )
        elif len(wiring.feedback) != layers:
            given = " ".join(map(str, wiring.feedback))
            yield (
                f"--iterations {given}: {net.name} takes {layers} numbers, one for every layer but "
                "the first"
            )
    if max(groups, default=1) > 1 and wiring.local:
        if wiring.feedback:
            yield (
                "--groups: a target is one for a whole layer, which learns from all of its "
                "channels at once: leave --groups out"
            )
        elif net is not None and not net.sliceable:
            yield f"--groups: the layers of {net.name} are not made in slices: leave --groups out"
    if not wiring.local:
        parts = (("--depth", config.depth > 1), ("--groups", max(groups, default=1) > 1))
        if given := [name for name, differs in parts if differs]:
            yield (
                f"{request.method} trains the whole network in one module: leave out "
                f"{' and '.join(given)}, or choose a local method (dgl, gn-dgl)"
            )


def _row_problems(request: Request, net: Network | None) -> Iterator[str]:
    """What does not go with the number of rows."""
    config, wiring = request.config, request.wiring
    if net is not None and config.depth > len(net.blocks):
        yield (
            f"--depth {config.depth}: {net.name} has {len(net.blocks)} blocks, "
            f"so at most --depth {len(net.blocks)}"
        )
    for name, given in (("--groups", config.groups), ("--replicas", config.replicas)):
        if len(given) not in (1, config.depth):
            yield (
                f"{name} {' '.join(map(str, given))}: give one number for all rows, "
                f"or {config.depth}, one per row"
            )
    needed = max(wiring.memory, 2 * (wiring.image or wiring.memory > 0))
    if config.depth < needed:
        yield (
            f"--depth {config.depth} is not deep enough for this --mode: give --depth {needed} or "
            "more, or a --mode that looks back less"
        )
    if config.replay > 0 and config.depth < 2:
        yield "--replay keeps what the row before sent: it needs --depth 2 or more"


def _replica_problems(request: Request) -> Iterator[str]:
    """Rows that share a batch out must compute every image by itself, and add gradients up."""
    replicas = request.config.replicas
    given = f"--replicas {' '.join(map(str, replicas))}"
    if min(replicas, default=1) < 1:
        yield f"{given}: every row has at least one process"
    if max(replicas, default=1) > request.batch > 0:
        yield (
            f"{given}: a batch of {request.batch} images has no more shares than that: give "
            f"{request.batch} or fewer, or a larger --batch"
        )
    if max(replicas, default=1) > 1 and not request.wiring.feedback:
        yield (
            f"{given}: only dtp's rows share a batch out; the batch-norms of other networks need "
            "it whole. Leave --replicas out, or choose --groups"
        )


def _replay_problems(request: Request) -> Iterator[str]:
    """A row that chooses its own batch can not agree on one with anybody."""
    config, wiring = request.config, request.wiring
    if config.replay < 0:
        yield f"--replay {config.replay}: 0 (off) or more batches"
    if config.replay <= 0:
        return
    if max(config.groups, default=1) > 1:
        yield (
            "--replay lets every row choose its batch, and the groups of a row need the same one: "
            "leave out --groups or --replay"
        )
    if wiring.memory or wiring.image:
        yield (
            "--replay lets every row choose its batch, and a context must be of the same one: "
            "leave out --mode or --replay"
        )
    if wiring.feedback:
        yield (
            "--replay lets every row choose its batch, and a target must be of the same one: leave "
            "--replay out"
        )


def map_problems(wiring: Wiring, *, shapes: list[Shape], made: list[Shape]) -> Iterator[str]:
    """Decoders and contexts that need maps; `shapes` are what blocks read, `made` what they make.

    Both begin with the image.
    """
    flat = [shape for shape in made[1:] if len(shape) != 3]
    auxiliary_is_flat = flat and (len(flat) == len(made) - 1 or wiring.tail not in TAILS)
    if wiring.decoder and auxiliary_is_flat:
        yield (
            "reconstruction enlarges maps to the size of the image, and this network writes flat "
            "features: choose a ResNet, a VGG with --tail fc, or leave reconstruction out"
        )
    if (wiring.memory or wiring.image) and any(len(shape) != 3 for shape in shapes[1:-1]):
        yield (
            "contexts supplement maps, and this network writes flat features: choose a ResNet or "
            "a VGG, or --mode R0"
        )


def share_problems(wiring: Wiring, grid: Grid, made: list[Shape]) -> Iterator[str]:
    """Parts that are too small to be shown to peers; `made` is what every row makes."""
    if wiring.share == "none":
        return
    for shape, groups in zip(made, grid.groups, strict=True):
        channels = Span.of(shape[0], groups - 1, groups).size
        if groups > 1 and int(wiring.ratio * channels) < 1:
            yield (
                f"--share-ratio {wiring.ratio:g} of the {channels} channels that each of {groups} "
                "groups has is none: choose a larger ratio, or --share none"
            )


def _width_problems(size: int, net: Network) -> Iterator[str]:
    widths = sorted({block.width for block in net.blocks})
    if size > min(widths):
        yield f"--groups {size}: more groups than the {min(widths)} channels of {net.name}"
    elif net.even and (odd := [width for width in widths if width % size]):
        fitting = [str(n) for n in range(1, min(widths) + 1) if all(w % n == 0 for w in widths)]
        yield (
            f"--groups {size} does not divide {net.name}'s width {', '.join(map(str, odd))}: "
            f"choose {', '.join(fitting)}, or other --widths"
        )


def cut_problems(request: Request, net: Network) -> Iterator[str]:
    """What is wrong with the cuts that were asked for."""
    config = request.config
    names = [block.name for block in net.blocks]
    named = len(config.cuts) != 1 or config.cuts[0] not in KINDS_OF_CUTS
    if named and (unknown := [name for name in config.cuts if name not in names]):
        yield from (f"--cuts: {net.name} has no block {n!r}{nearest(n, names)}" for n in unknown)
        return
    if not 1 <= config.depth <= len(names):
        return  # whatever the cuts are, it is the depth that is wrong
    if config.cuts in (("paper",), ("balanced",)):
        which = config.cuts[0]
        tables = (
            CUTS
            if which == "paper"
            else {net.name: BALANCED.get((net.name, request.data.name), {})}
        )
        published = tables.get(net.name, {})
        if config.depth not in published:
            on = f" on {request.data.name}" if which == "balanced" else ""
            depths = f" (published: {', '.join(map(str, published))})" if published else ""
            yield (
                f"--cuts {which}: no paper cuts {net.name}{on} at depth {config.depth}{depths}; "
                "use --cuts macs or even"
            )
    elif named:
        if len(config.cuts) != config.depth - 1:
            yield (
                f"--cuts {' '.join(config.cuts)}: --depth {config.depth} takes "
                f"{config.depth - 1} names, the last block of every module but the last"
            )
        indices = [names.index(name) for name in config.cuts]
        if indices != sorted(set(indices)) or names[-1] in config.cuts:
            yield (
                f"--cuts {' '.join(config.cuts)}: name blocks in the order of {net.name}, "
                f"each once, and not the last one ({names[-1]})"
            )
