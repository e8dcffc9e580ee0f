"""What can be wrong with a grid, in sentences: the situation and the next move."""

from collections.abc import Iterator

from partition.config import GridConfig
from partition.nearest import nearest
from partition.networks.block import Network
from partition.papers import CUTS
from partition.request import Request


def grid_problems(request: Request, net: Network | None) -> Iterator[str]:
    """What is wrong with depth, groups and the rest; of a network that is known, its widths too."""
    config, wiring, groups = request.config, request.wiring, request.config.groups_per_row
    if config.depth < 1:
        yield f"--depth {config.depth}: a grid has at least one row"
    if net is not None and config.depth > len(net.blocks):
        yield (
            f"--depth {config.depth}: {net.name} has {len(net.blocks)} blocks, "
            f"so at most --depth {len(net.blocks)}"
        )
    if len(groups) != config.depth:
        yield (
            f"--groups {' '.join(map(str, config.groups))}: give one number for all rows, "
            f"or {config.depth}, one per row"
        )
    for size in sorted(set(groups)):
        if size < 1:
            yield f"--groups {size}: every row has at least one group"
        elif net is not None:
            yield from _width_problems(size, net)
    if config.window < 1:
        yield f"--window {config.window}: at least one batch must be able to be under way"
    if wiring.pool < 1:
        yield f"--pool {wiring.pool}: maps can not be pooled to less than 1 x 1"
    if not wiring.local and (config.depth, *groups) != (1, 1):
        yield (
            f"{request.method} trains the whole network in one module: leave out --depth and "
            "--groups, or choose a local method (dgl, gn-dgl)"
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


def cut_problems(config: GridConfig, net: Network) -> Iterator[str]:
    """What is wrong with the cuts that were asked for."""
    names = [block.name for block in net.blocks]
    if config.cuts == ("paper",):
        published = CUTS.get(net.name, {})
        if config.depth not in published:
            depths = f" (published: {', '.join(map(str, published))})" if published else ""
            yield (
                f"--cuts paper: no paper cuts {net.name} at depth {config.depth}{depths}; "
                "use --cuts macs or even"
            )
    elif config.cuts not in (("macs",), ("even",)):
        if unknown := [name for name in config.cuts if name not in names]:
            yield from (
                f"--cuts: {net.name} has no block {n!r}{nearest(n, names)}" for n in unknown
            )
            return
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
