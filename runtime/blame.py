"""Who holds up a run: from heartbeats, and from a walk along who waits for whom."""

from collections.abc import Mapping
from dataclasses import dataclass

from comm.telemetry import ModuleBeat


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """The last heartbeat of a process: how long ago, the addresses it hosts, and their states."""

    age: float
    hosted: tuple[str, ...]
    modules: tuple[ModuleBeat, ...]


def stalled(pulses: Mapping[int, Pulse], stall: float) -> str | None:
    """One line naming the module everyone waits for, or None while the run is alive.

    A process without a heartbeat for `stall` seconds is frozen. If all beat but no module's state
    has changed for as long, the chain of waits leads to the one that does not wait.
    """
    silent = [rank for rank, pulse in pulses.items() if pulse.age > stall]
    if silent:
        rank = max(silent, key=lambda rank: pulses[rank].age)
        hosted, modules = pulses[rank].hosted, pulses[rank].modules
        word = modules[0].word if modules else "before its first step"
        return (
            f"{' and '.join(hosted)} froze ({word}): no sign of life for {stall:g} s"
            f"{_waiting(pulses, set(hosted))}"
        )
    if not all(pulse.modules for pulse in pulses.values()):
        return None  # some have not begun yet, and the others may wait for them
    modules = {
        m.address: (pulse, m) for pulse in pulses.values() for m in pulse.modules if not m.done
    }
    if not modules or any(pulse.age + m.still <= stall for pulse, m in modules.values()):
        return None
    address, seen = next(iter(modules)), list[str]()
    while address not in seen:
        seen.append(address)
        beat = modules[address][1]
        if beat.waits_for is None or beat.waits_for not in modules:
            return (
                f"{address} has been {beat.word} for {beat.still:.0f} s without an end"
                f"{_waiting(pulses, {address})}; if it is only slow, raise --stall"
            )
        address = beat.waits_for
    circle = " → ".join([*seen[seen.index(address) :], address])
    return f"modules wait for each other in a circle: {circle}"


def _waiting(pulses: Mapping[int, Pulse], causes: set[str]) -> str:
    waiting = sorted(
        m.address for pulse in pulses.values() for m in pulse.modules if m.waits_for in causes
    )
    return f"; {', '.join(waiting)} wait{'s' * (len(waiting) == 1)} for it" if waiting else ""
