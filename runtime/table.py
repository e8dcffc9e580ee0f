"""A plan as a table one can read aloud."""

from collections.abc import Iterator, Sequence
from functools import partial

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from comm.route import Kind
from partition.costs import BlockCost, row_seconds
from partition.plan import ModulePlan, Plan


def _blocks(module: ModulePlan) -> str:
    if not module.blocks:
        return "read-out head"
    first, last = module.blocks[0], module.blocks[-1]
    share = f", share {module.share} of the batch" if module.share.of > 1 else ""
    return (first if first == last else f"{first} … {last} ({len(module.blocks)})") + share


def size(count: float) -> str:
    """Bytes in the largest unit that leaves a number of at least one."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _hears(plan: Plan, module: ModulePlan) -> str:
    """Whose tensors arrive in a training step."""
    heard = [r for r in plan.routes if r.target == module.address and r.learning]
    parts: list[str] = ["images"] if module.hears_image or module.decodes else []
    for k in sorted({route.source.k for route in heard}):
        groups = sorted({route.source.g for route in heard if route.source.k == k})
        if k == module.address.k and len(groups) > 1:
            parts.append("peers")
            continue
        names = "*" if len(groups) == len(plan.grid.rows[k]) > 1 else ",".join(map(str, groups))
        parts.append(f"k{k}g{names}")
    return " ".join(parts)


def _context_share(plan: Plan) -> str:
    """What the contexts cost, which inference pays too."""
    total = sum(module.context_macs for module in plan.modules)
    if not total:
        return ""
    share = total / plan.whole_macs
    return f"; contexts {total / 1e3:,.1f} kMACs, {share:.1%} of the network, inference included"


def frame_bytes(plan: Plan, rank: int) -> int:
    """What a process holds of batches: one frame for each under way in, two per route out.

    A replaying row keeps as many again, and those it may read again.
    """
    total = 0
    for route in plan.routes:
        source, target = plan.grid.rank(route.source), plan.grid.rank(route.target)
        if source != target:
            stored = plan.replay + route.window if plan.replay and route.kind is Kind.AHEAD else 0
            held = route.window + stored
            total += route.capacity * (2 * (source == rank) + held * (target == rank))
    return total


def work_of(plan: Plan, costs: Sequence[BlockCost]) -> list[float]:
    """What every process does in a step: measured seconds if there are `costs`, else MACs."""
    ranks = range(plan.grid.processes)
    if not costs:
        return [float(plan.rank_macs(rank)) for rank in ranks]
    modules = [plan[plan.grid.hosted(rank)[0]] for rank in ranks]
    return [
        row_seconds(costs, m.address.k, m.first, m.first + len(m.blocks), m.share.of)
        for m in modules
    ]


def _measured(plan: Plan, costs: Sequence[BlockCost]) -> Iterator[str]:
    """Σ over the slowest, in measured seconds: what as many cores as processes can win."""
    if costs:
        whole = row_seconds(costs, plan.grid.depth - 1, 0, len(costs))
        slowest = max(work_of(plan, costs))
        lasts = [plan[row[0]].blocks[-1] for row in plan.grid.rows[: plan.grid.depth - 1]]
        yield (
            f"speed-up in time, measured here block by block: one process {whole:.3f} s per step, "
            f"the slowest of {plan.grid.processes} {slowest:.3f} s: {whole / slowest:.3f}×; "
            f"to repeat the cut: --cuts {' '.join(lasts) or 'single'}"
        )


def plan_table(plan: Plan, costs: Sequence[BlockCost] = ()) -> RenderableType:
    """The grid: blocks, shapes, routes, bytes per step, parameters, MACs, and what they promise."""
    work = work_of(plan, costs)
    contexts = any(module.contexts for module in plan.modules)
    decoders = any(module.decodes for module in plan.modules)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("module", "rank", "blocks", "reads", "writes", "head", "hears"):
        table.add_column(name, overflow="fold")
    feedback = any(module.feedback_macs for module in plan.modules)
    context = ("context/step",) * contexts + ("targets/step",) * feedback
    times = ("s/step",) * bool(costs)
    for name in ("ahead/step", *context, "peers/step", "parameters", "kMACs", "of which head"):
        table.add_column(name, justify="right")
    parts = ("contexts",) * contexts + ("decoder",) * decoders + ("feedback",) * feedback
    for name in (*parts, *times, "share"):
        table.add_column(name, justify="right")
    for module in plan.modules:
        rank, sent = plan.grid.rank(module.address), plan.sent_bytes(module.address)
        more = [module.context_macs] * contexts + [module.decoder_macs] * decoders
        more += [module.feedback_macs] * feedback
        between = (Kind.CONTEXT,) * contexts + (Kind.TARGET,) * feedback
        kinds = (Kind.AHEAD, *between, Kind.PEER)
        table.add_row(
            str(module.address),
            str(rank),
            _blocks(module),
            _shape(module.reads),
            _shape(module.writes),
            f"{module.head.kind} on {_shape(module.head.shape)}",
            _hears(plan, module),
            *(size(sent[kind]) if kind in sent else "–" for kind in kinds),
            f"{module.parameters:,}",
            *(f"{macs / 1e3:,.1f}" for macs in (module.macs, module.head_macs, *more)),
            *(f"{work[rank]:.3f}" for _ in times),
            f"{work[rank] / sum(work):.1%}" if module.blocks else "",
        )
    slowest, ranks = plan.slowest_rank, range(plan.grid.processes)
    hosted = " ".join(map(str, plan.grid.hosted(slowest)))
    widths = f" {' '.join(map(str, plan.widths))}" if plan.widths else ""
    lines = (
        f"{plan.method}: {plan.network}{widths} on {plan.data.name} ({_shape(plan.data.shape)}, "
        f"{plan.data.classes} classes), grid {plan.grid}, {plan.grid.processes} processes, "
        f"batch {plan.batch}, window {plan.window}"
        + (f", replay of {plan.replay} batches (not exact)" if plan.replay else "")
        + (f", feedback lag {lag} (not exact)" if (lag := plan.wiring.feedback_lag) else ""),
        f"whole network {plan.whole_macs / 1e3:,.1f} kMACs, {plan.whole_parameters:,} parameters; "
        f"slowest process rank {slowest} ({hosted}) "
        f"{plan.rank_macs(slowest) / 1e3:,.1f} kMACs",
        f"speed-up in MACs, communication not counted: training {plan.training_speedup:.3f}×, "
        f"inference {plan.inference_speedup:.3f}×" + _context_share(plan),
        *_measured(plan, costs),
        f"windows hold at most {size(max(map(partial(frame_bytes, plan), ranks)))} per process",
        "(MACs are of the forward pass, one sample, by the papers' convention; share: of the work "
        "of all processes; hears: * is all groups of a row)",
    )
    return Group(Text(lines[0]), Text(), table, Text(), *(Text(line) for line in lines[1:]))
