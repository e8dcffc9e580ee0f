"""A grid of bounded queues is a Kahn network: never stuck, and the same numbers in any order.

Tiny programs stand where modules stand. Each follows the order of a step (receives, sends ahead,
per exchange all sends before the first receive, then the target down), and what it sends depends
on everything it has received.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from comm.address import Address, Grid
from comm.channel import Receiver, Sender, Wait, Waits, receive, send
from comm.errors import Deadlock
from comm.group import LayerGroup
from comm.message import Flag, Message
from comm.route import Kind, Route, TensorSpec
from comm.transports.memory import Memory
from partition.routes import route_problems

TURNS = 4
NUMBER = (TensorSpec(shape=(), dtype="int64"),)

Drawn = tuple[Address, Address, Kind, str]
Pick = Callable[[Sequence[Address]], Address]


@dataclass(frozen=True, kw_only=True)
class Wired:
    """A grid, its routes, and the exchanges of each row in their order."""

    grid: Grid
    routes: tuple[Route, ...]
    exchanges: tuple[tuple[str, ...], ...]


def wired(
    groups: Sequence[int],
    *,
    exchanges: Sequence[Sequence[str]],
    windows: Sequence[int] = (1,),
    context: Sequence[tuple[Address, Address]] = (),
    targets: bool = False,
    permits: bool = False,
) -> Wired:
    """Routes between neighbouring rows, peers, and whatever else is asked for."""
    grid = Grid(groups=tuple(groups))

    def drawn() -> Iterator[Drawn]:
        for row, following in zip(grid.rows, grid.rows[1:], strict=False):
            for upper, lower in product(row, following):
                yield upper, lower, Kind.AHEAD, "features"
                if targets:
                    yield lower, upper, Kind.TARGET, "targets"
        for row, names in zip(grid.rows, exchanges, strict=True):
            for name, (source, target) in product(names, permutations(row, 2)):
                yield source, target, Kind.PEER, name
        for source, target in context:
            yield source, target, Kind.CONTEXT, "context"
        first, *others = grid.rows[0]
        for target in others if permits else ():
            yield first, target, Kind.PERMIT, "permit"

    routes = [
        Route(
            source=source,
            target=target,
            kind=kind,
            name=name,
            learning=NUMBER,
            voting=(),
            rows=1,
            window=windows[tag % len(windows)],
            tag=tag,
        )
        for tag, (source, target, kind, name) in enumerate(drawn())
    ]
    return Wired(grid=grid, routes=tuple(routes), exchanges=tuple(map(tuple, exchanges)))


@st.composite
def wirings(draw: st.DrawFn, *, least: int = 1) -> Wired:
    """Ragged grids of up to five rows; at least one row has `least` modules and an exchange."""
    groups = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    exchanges = [draw(st.lists(st.sampled_from("abc"), max_size=2, unique=True)) for _ in groups]
    if least > 1:
        row = draw(st.sampled_from(range(len(groups))))
        groups[row], exchanges[row] = draw(st.integers(least, 4)), ["a"]
    far = [
        (source, target)
        for source, target in permutations(Grid(groups=tuple(groups)), 2)
        if target.k > source.k + 1
    ]
    return wired(
        groups,
        exchanges=exchanges,
        windows=draw(st.lists(st.integers(1, 3), min_size=1, max_size=7)),
        context=draw(st.lists(st.sampled_from(far), max_size=5, unique=True)) if far else (),
        targets=draw(st.booleans()),
        permits=draw(st.booleans()),
    )


# ── programs ─────────────────────────────────────────────────────────────────────────────────


class Hasty(LayerGroup):
    """The forbidden order: receives before it sends."""

    def exchange(self, turn: int, tensors: Sequence[Tensor], flags: Flag) -> Iterator[Wait]:
        others: list[Tensor] = []
        for receiver in self.receivers:
            others.append((yield from receive(receiver, turn)).tensors[0])
        for sender, tensor in zip(self.senders, tensors, strict=True):
            yield from send(sender, Message(turn=turn, rows=1, flags=flags, tensors=(tensor,)))
        return others


def mixed(number: int, others: Sequence[Tensor]) -> int:
    """A number that tells every number before it, and their order."""
    for other in others:
        number = (number * 1_000_003 + int(other)) % (2**31 - 1)
    return number


class Program:
    """One module's life; `heard` is everything it ever received, in its own order."""

    def __init__(
        self, own: Address, wired: Wired, transport: Memory, group: type[LayerGroup] = LayerGroup
    ) -> None:
        self.own = own
        self.heard: list[int] = []
        self.senders = [transport.sender(r) for r in wired.routes if r.source == own]
        self.receivers = [transport.receiver(r) for r in wired.routes if r.target == own]
        self.groups = [
            group(self._out(Kind.PEER, name=name), self._in(Kind.PEER, name=name))
            for name in wired.exchanges[own.k]
        ]

    def _out(self, *kinds: Kind, name: str | None = None) -> list[Sender]:
        return [e for e in self.senders if e.route.kind in kinds and name in (None, e.route.name)]

    def _in(self, *kinds: Kind, name: str | None = None) -> list[Receiver]:
        return [e for e in self.receivers if e.route.kind in kinds and name in (None, e.route.name)]

    def life(self) -> Waits:
        """All turns, each in the order that design says can not block."""
        forward = (Kind.PERMIT, Kind.AHEAD, Kind.CONTEXT)
        number = 10 * self.own.k + self.own.g
        for turn in range(TURNS):
            number = yield from self._hear(turn, number, self._in(*forward))
            yield from self._say(turn, number, self._out(*forward))
            for group in self.groups:
                shown = [torch.tensor([number])] * len(group.senders)
                others = yield from group.exchange(turn, shown, Flag.NONE)
                self.heard += map(int, others)
                number = mixed(number, others)
            number = yield from self._hear(turn, number, self._in(Kind.TARGET))
            yield from self._say(turn, number, self._out(Kind.TARGET))

    def _hear(self, turn: int, number: int, ends: Sequence[Receiver]) -> Iterator[Wait]:
        for end in ends:
            (other,) = (yield from receive(end, turn)).tensors
            self.heard.append(int(other))
            number = mixed(number, [other])
        return number

    def _say(self, turn: int, number: int, ends: Sequence[Sender]) -> Waits:
        for end in ends:
            yield from send(end, Message(turn=turn, rows=1, tensors=(torch.tensor([number]),)))


def run(wired: Wired, pick: Pick, group: type[LayerGroup] = LayerGroup) -> dict[Address, list[int]]:
    """Let `pick` choose who goes on, until all have ended; what each heard, or Deadlock."""
    with Memory() as transport:
        programs = [Program(address, wired, transport, group) for address in wired.grid]
        lives = {program.own: program.life() for program in programs}
        waits: dict[Address, Wait | None] = dict.fromkeys(lives)  # None: has not begun
        while waits:
            able = [own for own, wait in waits.items() if not wait or wait.end.ready()]
            if not able:
                raise Deadlock(", ".join(f"{o} waits for {w.peer}" for o, w in waits.items() if w))
            chosen = pick(able)
            wait = next(lives[chosen], None)
            if wait is None:
                del waits[chosen]
            else:
                waits[chosen] = wait
        assert not any(end.ready() for program in programs for end in program.receivers)
        return {program.own: program.heard for program in programs}


def at_random(seed: int) -> Pick:
    return Random(seed).choice


# ── it can not block, and its result can not depend on timing ────────────────────────────────


@settings(deadline=None, max_examples=150)
@given(wirings(), st.integers(0, 2**32))
def test_nothing_ever_blocks_and_every_order_gives_the_same_numbers(
    wired: Wired, seed: int
) -> None:
    assert route_problems(wired.grid, wired.routes) == []
    first = run(wired, at_random(seed))
    for pick in (at_random(seed + 1), min, max):  # the first row runs ahead; the last one begs
        assert run(wired, pick) == first
    assert sum(map(len, first.values())) == TURNS * len(wired.routes)


@settings(deadline=None, max_examples=30)
@given(wirings(least=2), st.integers(0, 2**32))
def test_an_exchange_that_receives_before_it_sends_gets_stuck(wired: Wired, seed: int) -> None:
    with pytest.raises(Deadlock):
        run(wired, at_random(seed), Hasty)


@settings(deadline=None, max_examples=30)
@given(wirings(least=2), st.integers(0, 2**32), st.data())
def test_one_window_of_zero_is_reported_and_gets_stuck(
    wired: Wired, seed: int, data: st.DataObject
) -> None:
    route = data.draw(st.sampled_from(wired.routes))
    shut = replace(route, window=0)
    broken = replace(wired, routes=tuple(shut if r == route else r for r in wired.routes))
    assert route_problems(broken.grid, broken.routes) == [f"{shut} ({shut.name}): window 0 < 1"]
    with pytest.raises(Deadlock, match=f"{route.source} waits for {route.target}"):
        run(broken, at_random(seed))


def with_route(wired: Wired, source: str, target: str, kind: Kind, name: str) -> Wired:
    """The same, and one more route."""
    more = replace(
        wired.routes[0],
        source=Address.parse(source),
        target=Address.parse(target),
        kind=kind,
        name=name,
        tag=len(wired.routes),
    )
    return replace(wired, routes=(*wired.routes, more))


PLAIN = wired([2, 3, 1], exchanges=[["a"], ["a", "b"], []], windows=(1, 2))


@pytest.mark.parametrize("kind", [Kind.AHEAD, Kind.CONTEXT])
@pytest.mark.parametrize(("source", "target"), [("k2g0", "k0g1"), ("k1g0", "k1g2")])
def test_a_route_that_does_not_lead_on_is_reported_and_gets_stuck(
    kind: Kind, source: str, target: str
) -> None:
    """A cycle without a token; within a row the half of one, which another route may close."""
    broken = with_route(PLAIN, source, target, kind, "loop")
    found = route_problems(broken.grid, broken.routes)
    assert found == [f"{source}→{target} (loop): {kind} leads back in depth"]
    if source == "k1g0":
        broken = with_route(broken, target, source, kind, "loop")
    with pytest.raises(Deadlock, match=f"{target} waits for"):
        run(broken, at_random(0))


def without(wired: Wired, *gone: str) -> Wired:
    """The same, without the routes of exchange `b` that print so."""
    kept = tuple(r for r in wired.routes if not (r.name == "b" and str(r) in gone))
    assert len(kept) == len(wired.routes) - len(gone)
    return replace(wired, routes=kept)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(without(PLAIN, "k1g0→k1g1"), id="one way only"),
        pytest.param(without(PLAIN, "k1g0→k1g1", "k1g1→k1g0"), id="a pair that skips it"),
        pytest.param(
            without(PLAIN, "k1g0→k1g1", "k1g1→k1g0", "k1g0→k1g2", "k1g2→k1g0"),
            id="a module that misses it",
        ),
    ],
)
def test_an_exchange_that_is_not_all_with_all_is_reported(broken: Wired) -> None:
    assert route_problems(broken.grid, broken.routes) == ["row 1: exchange b is not all with all"]


def test_an_exchange_with_another_row_is_reported() -> None:
    broken = with_route(PLAIN, "k0g0", "k1g0", Kind.PEER, "a")
    assert route_problems(broken.grid, broken.routes) == [
        "row 0: exchange a is not all with all",
        "row 1: exchange a is not all with all",
    ]


def test_two_routes_with_one_tag_are_reported() -> None:
    twin = replace(PLAIN.routes[1], tag=PLAIN.routes[0].tag)
    routes = (PLAIN.routes[0], twin, *PLAIN.routes[2:])
    assert route_problems(PLAIN.grid, routes) == ["two routes have the same tag"]


def test_all_problems_are_reported_at_once() -> None:
    broken = without(PLAIN, "k1g0→k1g1", "k1g1→k1g0", "k1g0→k1g2", "k1g2→k1g0")
    broken = with_route(broken, "k2g0", "k0g0", Kind.AHEAD, "loop")
    first, *others = broken.routes
    routes = (replace(first, window=0, tag=1), *others)
    assert len(route_problems(broken.grid, routes)) == 4
