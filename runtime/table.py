"""A plan as a table one can read aloud."""

from collections.abc import Iterator, Sequence
from functools import partial

from rich.console import Group, RenderableType
from rich.text import Text

from comm.route import Kind
from partition.costs import BlockCost, row_seconds
from partition.plan import ModulePlan, Plan
from runtime.fitted import Column, Fitted, Sentence


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


def _input_from(plan: Plan, module: ModulePlan) -> str:
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


def _columns(plan: Plan, costs: Sequence[BlockCost]) -> Iterator[Column]:
    """What there is to say of every module; columns that would be empty are left out."""
    modules, work = plan.modules, work_of(plan, costs)
    ranks = [plan.grid.rank(module.address) for module in modules]
    sent = [plan.sent_bytes(module.address) for module in modules]

    def words(name: str, cells: Iterator[str], *, key: bool = False) -> Column:
        return Column(name=name, cells=tuple(cells), key=key)

    def numbers(name: str, cells: Iterator[str]) -> Column:
        return Column(name=name, cells=tuple(cells), number=True)

    def macs(name: str, counts: list[int]) -> Column:
        return numbers(name, (f"{count / 1e3:,.1f}" for count in counts))

    def bytes_sent(name: str, kind: Kind) -> Column:
        return numbers(name, (size(s[kind]) if kind in s else "–" for s in sent))

    contexts = any(module.contexts for module in modules)
    feedback = any(module.feedback_macs for module in modules)
    yield words("module", (str(m.address) for m in modules), key=True)
    yield words("rank", map(str, ranks))
    yield words("blocks", map(_blocks, modules))
    yield words("input", (_shape(m.reads) for m in modules))
    yield words("output", (_shape(m.writes) for m in modules))
    yield words("head", (f"{m.head.kind} on {_shape(m.head.shape)}" for m in modules))
    yield words("input from", (_input_from(plan, m) for m in modules))
    yield bytes_sent("to next row/step", Kind.AHEAD)
    if contexts:
        yield bytes_sent("context/step", Kind.CONTEXT)
    if feedback:
        yield bytes_sent("targets/step", Kind.TARGET)
    yield bytes_sent("to peers/step", Kind.PEER)
    yield numbers("parameters", (f"{m.parameters:,}" for m in modules))
    yield macs("kMACs", [m.macs for m in modules])
    yield macs("head kMACs", [m.head_macs for m in modules])
    if contexts:
        yield macs("contexts", [m.context_macs for m in modules])
    if any(module.decodes for module in modules):
        yield macs("decoder", [m.decoder_macs for m in modules])
    if feedback:
        yield macs("feedback", [m.feedback_macs for m in modules])
    if costs:
        yield numbers("s/step", (f"{work[rank]:.3f}" for rank in ranks))
    whole = sum(work)
    parts = zip(modules, ranks, strict=True)
    yield numbers("work", (f"{work[rank] / whole:.1%}" if m.blocks else "" for m, rank in parts))


def _speedups(plan: Plan) -> Iterator[str]:
    """What the plan promises, and how four processes can be more than four times as fast."""
    yield (
        f"speed-up in MACs, communication not counted: training {plan.training_speedup:.3f}×, "
        f"inference {plan.inference_speedup:.3f}×" + _context_share(plan)
    )
    processes = plan.grid.processes
    if plan.inference_macs < plan.whole_macs and plan.training_speedup > processes:
        yield (
            f"groups make the network itself smaller, {plan.inference_macs / 1e3:,.1f} kMACs "
            f"instead of {plan.whole_macs / 1e3:,.1f}: so {processes} processes may be more than "
            f"{processes}× as fast as one process with the undivided network"
        )


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


def _first(plan: Plan) -> str:
    widths = f" {' '.join(map(str, plan.widths))}" if plan.widths else ""
    replay = f", replay of {plan.replay} batches (not exact)" if plan.replay else ""
    lag = plan.wiring.feedback_lag
    return (
        f"{plan.method}: {plan.network}{widths} on {plan.data.name} ({_shape(plan.data.shape)}, "
        f"{plan.data.classes} classes), grid {plan.grid}, {plan.grid.processes} processes, "
        f"batch {plan.batch}, window {plan.window}{replay}"
        + (f", feedback lag {lag} (not exact)" if lag else "")
    )


def plan_table(plan: Plan, costs: Sequence[BlockCost] = ()) -> RenderableType:
    """The grid: blocks, shapes, routes, bytes per step, parameters, MACs, and what they promise."""
    slowest, ranks = plan.slowest_rank, range(plan.grid.processes)
    hosted = " ".join(map(str, plan.grid.hosted(slowest)))
    lines = (
        f"whole network {plan.whole_macs / 1e3:,.1f} kMACs, {plan.whole_parameters:,} parameters; "
        f"slowest process rank {slowest} ({hosted}) "
        f"{plan.rank_macs(slowest) / 1e3:,.1f} kMACs",
        *_speedups(plan),
        *_measured(plan, costs),
        f"batches under way between processes take at most "
        f"{size(max(map(partial(frame_bytes, plan), ranks)))} in each (--window {plan.window})",
        "(input from: k0g* is all groups of row 0; /step: sent in one training step; kMACs: "
        "thousands of multiply-accumulates of the forward pass of one sample, head included, "
        "counted as in the papers; work: a process's share of what all processes do)",
    )
    table = Fitted([*_columns(plan, costs)])
    return Group(Sentence(_first(plan)), Text(), table, Text(), *map(Sentence, lines))
