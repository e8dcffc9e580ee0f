"""All ends of routes that one module owns, sorted by what they are for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

from comm.address import Address
from comm.channel import Receiver, Sender
from comm.group import LayerGroup
from comm.route import Kind, Route
from comm.transports import Transport


@dataclass(frozen=True, kw_only=True)
class Ports:
    """One module's ends. `groups` holds one LayerGroup per exchange, by the exchange's name."""

    heard: tuple[Receiver, ...]  # features of the row before, in group order
    ahead: tuple[Sender, ...]
    contexts: dict[int, tuple[Receiver, ...]]  # inputs of rows before, by row, in group order
    inputs: tuple[Sender, ...]  # the own part of the input, for later rows
    targets_heard: tuple[Receiver, ...]  # from the next row, in its order
    targets_sent: tuple[Sender, ...]  # to the row before
    permit: Receiver | None  # row 0, all but k0g0
    permits: tuple[Sender, ...]  # k0g0 only
    groups: dict[str, LayerGroup]


def open_ports(
    address: Address, routes: Iterable[Route], transport_of: Callable[[Route], Transport]
) -> Ports:
    """Open the ends of every route that starts or ends at `address`, in the order of the plan."""
    senders: list[Sender] = []
    receivers: list[Receiver] = []
    for route in routes:
        if route.source == address:
            senders.append(transport_of(route).sender(route))
        elif route.target == address:
            receivers.append(transport_of(route).receiver(route))
    heard = [end for end in receivers if end.route.kind is Kind.AHEAD]
    targets = [end for end in receivers if end.route.kind is Kind.TARGET]
    permit = [end for end in receivers if end.route.kind is Kind.PERMIT]
    context = sorted(
        (end for end in receivers if end.route.kind is Kind.CONTEXT),
        key=lambda end: end.route.source,
    )
    exchanges = {end.route.name for end in receivers if end.route.kind is Kind.PEER}
    return Ports(
        heard=tuple(sorted(heard, key=lambda end: end.route.source)),
        ahead=tuple(end for end in senders if end.route.kind is Kind.AHEAD),
        contexts={
            k: tuple(ends) for k, ends in groupby(context, key=lambda end: end.route.source.k)
        },
        inputs=tuple(end for end in senders if end.route.kind is Kind.CONTEXT),
        targets_heard=tuple(sorted(targets, key=lambda end: end.route.source)),
        targets_sent=tuple(end for end in senders if end.route.kind is Kind.TARGET),
        permit=permit[0] if permit else None,
        permits=tuple(end for end in senders if end.route.kind is Kind.PERMIT),
        groups={
            name: LayerGroup(
                sorted(
                    (e for e in senders if (e.route.kind, e.route.name) == (Kind.PEER, name)),
                    key=lambda end: end.route.target,
                ),
                sorted(
                    (e for e in receivers if (e.route.kind, e.route.name) == (Kind.PEER, name)),
                    key=lambda end: end.route.source,
                ),
            )
            for name in exchanges
        },
    )
