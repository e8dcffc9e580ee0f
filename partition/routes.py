"""Draws the routes of a grid, and checks that no order of events can block it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, permutations, product

from comm.address import Address, Grid
from comm.route import Kind, Route, TensorSpec
from comm.share import WHOLE
from partition.plan import ModulePlan
from partition.sharing import pooled_shape, window
from partition.wiring import Wiring

Row = tuple[Address, ...]


def draw_routes(
    grid: Grid,
    modules: Mapping[Address, ModulePlan],
    *,
    wiring: Wiring,
    classes: int,
    rows: int,
    ahead_window: int,
    dtype: str,
    channels_last: bool,
) -> tuple[Route, ...]:
    """Every route of the plan, tagged in order.

    ahead     every module of a row → every module of the next: its features; in an evaluation
              turn also the ballot, (predictors, classes): what each row so far has voted. Of
              replicas, which share a batch out, only to those that have some of its images
    context   every module of a row → every module of each later row that hears its input: its own
              channels of it. Over s rows the window is s times as long: the reader is s behind
    peer      every module of a row → the others: its features for their heads (`share`), its
              softmax vector (`compare`); a last row without a read-out head: its ballots;
              replicas: their gradients, to be added up
    target    every module of a row → the one before: what that one should have made (`feedback`)
    permit    k0g0 → the others of row 0: nothing but leave to begin
    """
    rows_of_grid = grid.rows

    def maps(shape: tuple[int, ...]) -> TensorSpec:
        last = channels_last and len(shape) == 3
        return TensorSpec(
            shape=shape, dtype=dtype, layout="channels_last" if last else "contiguous"
        )

    def flat(size: int) -> TensorSpec:
        return TensorSpec(shape=(size,), dtype=dtype)

    def road(
        source: Address,
        target: Address,
        kind: Kind,
        name: str,
        learning: tuple[TensorSpec, ...] = (),
        voting: tuple[TensorSpec, ...] = (),
    ) -> Route:
        sends, hears = modules[source].share, modules[target].share
        parts = (sends.common(hears, batch) for batch in range(rows + 1))
        most = rows if sends == hears == WHOLE else max(part.stop - part.start for part in parts)
        return Route(
            source=source,
            target=target,
            kind=kind,
            name=name,
            learning=learning,
            voting=voting,
            rows=most,
            window=ahead_window * (target.k - source.k if kind is Kind.CONTEXT else 1),
            tag=0,
            sends=sends,
            hears=hears,
        )

    predictors = sum(modules[row[0]].head.votes for row in rows_of_grid)
    ballot = TensorSpec(shape=(predictors, classes), dtype=dtype)

    def meeting(row: Row, following: Row) -> Iterator[tuple[Address, Address]]:
        """Who has rows of a batch in common."""
        for source, target in product(row, following):
            if modules[source].share.meets(modules[target].share):
                yield source, target

    def drawn() -> Iterator[Route]:
        for row, following in pairwise(rows_of_grid):
            for source, target in meeting(row, following):
                features = maps(modules[source].writes)
                yield road(source, target, Kind.AHEAD, "features", (features,), (features, ballot))
        for row in rows_of_grid:
            for target in row:
                for context in modules[target].contexts:
                    for source in rows_of_grid[context.source] if context.source else ():
                        mine = modules[source]
                        part = maps((mine.reads_own.size, *mine.reads[1:]))
                        yield road(source, target, Kind.CONTEXT, "input", (part,), (part,))
        for row in rows_of_grid:
            for source, target in permutations(row, 2):
                mine = modules[source]
                if wiring.share != "none":
                    head = mine.head
                    seen = window(
                        head.own.total, len(row), head.ratio, reader=target.g, source=source.g
                    )
                    shared = maps(pooled_shape((len(seen), *mine.makes[1:]), head.pool))
                    yield road(source, target, Kind.PEER, "features", (shared,), (shared,))
                if wiring.compare and mine.head.votes:
                    yield road(source, target, Kind.PEER, "votes", (flat(classes),))
                if mine.share.of > 1:
                    for name, size, times in summed(mine, wiring.feedback):
                        whole = road(source, target, Kind.PEER, name, (flat(size),))
                        yield replace(whole, rows=1, times=times, sends=WHOLE, hears=WHOLE)
                if row is rows_of_grid[-1]:
                    ballots = road(source, target, Kind.PEER, "ballots", voting=(ballot,))
                    yield replace(ballots, hears=WHOLE, rows=rows)
        for row, following in pairwise(rows_of_grid) if wiring.feedback else ():
            for source, target in meeting(following, row):
                aim = maps(modules[target].writes)
                yield road(source, target, Kind.TARGET, "target", (aim,))
        first, *others = rows_of_grid[0]
        for target in others:
            yield road(first, target, Kind.PERMIT, "permit")

    routes = tuple(replace(route, tag=tag) for tag, route in enumerate(drawn()))
    if problems := route_problems(grid, routes):
        raise AssertionError("\n".join(problems))  # a planner that draws these is itself wrong
    return routes


def summed(module: ModulePlan, iterations: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Which gradients replicas add up: their name, how many numbers, how often in a step."""
    yield "gradients", module.parameters - sum(module.mirrors), 1
    for index, (name, size) in enumerate(
        zip(module.blocks, module.mirrors, strict=True), start=module.first
    ):
        if index:
            yield f"feedback {name}", size, iterations[index - 1]


def route_problems(grid: Grid, routes: Sequence[Route]) -> list[str]:
    """Why these routes could block each other; empty if they can not.

    A grid of bounded queues is free of deadlock if no cycle is without a token: every window is at
    least one, no route leads back in depth, and all modules of a row have the same exchanges.
    """
    problems = [f"{r} ({r.name}): window {r.window} < 1" for r in routes if r.window < 1]
    problems += [
        f"{r} ({r.name}): {r.kind} leads back in depth"
        for r in routes
        if r.kind in (Kind.AHEAD, Kind.CONTEXT) and r.source.k >= r.target.k
    ]
    for row in grid.rows:
        pairs: dict[str, set[tuple[Address, Address]]] = {}
        for r in routes:
            if r.kind is Kind.PEER and (r.source in row or r.target in row):
                pairs.setdefault(r.name, set()).add((r.source, r.target))
        problems += [
            f"row {row[0].k}: exchange {name} is not all with all"
            for name, found in pairs.items()
            if found != set(permutations(row, 2))
        ]
    if len({r.tag for r in routes}) != len(routes):
        problems.append("two routes have the same tag")
    return problems
