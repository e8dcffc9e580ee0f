"""Who holds up a run: from heartbeats, and from a walk along who waits for whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from comm.telemetry import Beat, ModuleBeat
from runtime.phase import WORKING


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """A running process: its last sign of life (seconds ago), what it hosts, its last heartbeat."""

    age: float
    hosted: tuple[str, ...]
    beat: Beat | None

    @property
    def name(self) -> str:
        return " and ".join(self.hosted)

    @property
    def modules(self) -> tuple[ModuleBeat, ...]:
        """Those that take turns now; none before and after."""
        working = self.beat is not None and self.beat.doing == WORKING
        return tuple(self.beat.modules) if self.beat is not None and working else ()

    @property
    def word(self) -> str:
        """What it did when it was last heard of."""
        if self.modules:
            return self.modules[0].word
        return self.beat.doing if self.beat is not None else "before it gave a sign of life"


class _Stand(NamedTuple):
    """Somebody who may hold up the run: a module, or a process before or after its turns.

    `waits_for` is an address, or None; `everyone`, that it waits for all other processes.
    """

    word: str
    still: float
    waits_for: str | None = None
    everyone: bool = False


def stalled(pulses: Mapping[int, Pulse], stall: float) -> str | None:
    """One line naming the module everyone waits for, or None while the run is alive.

    `pulses` are those of the processes that are still running. A process without a sign of life for
    `stall` seconds is frozen. One that has come to a standstill before or after its modules' turns,
    where nobody else can be the reason, holds itself up. If nothing at all has changed for as long,
    the chain of waits leads to the one that does not wait.
    """
    silent = [rank for rank, pulse in pulses.items() if pulse.age > stall]
    if silent:
        pulse = pulses[max(silent, key=lambda rank: pulses[rank].age)]
        return (
            f"{pulse.name} froze ({pulse.word}): no sign of life for {stall:g} s"
            f"{_waiting(pulses, set(pulse.hosted))}"
        )
    stands = {name: stand for pulse in pulses.values() for name, stand in _stands(pulse)}
    for name, stand in stands.items():
        if name not in _addresses(pulses) and not stand.everyone and stand.still > stall:
            return _endless(name, stand, pulses)
    if not stands or any(stand.still <= stall for stand in stands.values()):
        return None
    name, seen = next(iter(stands)), list[str]()
    while name not in seen:
        seen.append(name)
        stand = stands[name]
        if stand.everyone:
            rest = [other for other, that in stands.items() if not that.everyone]
            if not rest:
                every = ", ".join(stands)
                return f"{every}: {stand.word} for {stand.still:.0f} s, and nobody comes further"
            name = rest[0]
        elif stand.waits_for is None:
            return _endless(name, stand, pulses)
        else:
            name = _found(stand.waits_for, stands)
            if name is None:
                return _endless(seen[-1], stand, pulses)
    circle = " → ".join([*seen[seen.index(name) :], name])
    return f"modules wait for each other in a circle: {circle}"


def _stands(pulse: Pulse) -> list[tuple[str, _Stand]]:
    if pulse.modules:
        return [
            (m.address, _Stand(m.word, pulse.age + m.still, m.waits_for))
            for m in pulse.modules
            if not m.done
        ]
    if pulse.beat is None:  # it has just been started, and its age tells
        return [(pulse.name, _Stand(pulse.word, pulse.age, everyone=True))]
    beat = pulse.beat
    return [(pulse.name, _Stand(beat.doing, pulse.age + beat.still, everyone=beat.waiting))]


def _addresses(pulses: Mapping[int, Pulse]) -> set[str]:
    return {module.address for pulse in pulses.values() for module in pulse.modules}


def _found(address: str, stands: Mapping[str, _Stand]) -> str | None:
    """Who stands for `address`: itself, or its process."""
    return next((name for name in stands if address in name.split(" and ")), None)


def _endless(name: str, stand: _Stand, pulses: Mapping[int, Pulse]) -> str:
    hosted = name.split(" and ")
    verb = "have" if len(hosted) > 1 else "has"
    return (
        f"{name} {verb} been {stand.word} for {stand.still:.0f} s without an end"
        f"{_waiting(pulses, {*hosted})}; if it is only slow, raise --stall"
    )


def _waiting(pulses: Mapping[int, Pulse], causes: set[str]) -> str:
    waiting = sorted(
        m.address for pulse in pulses.values() for m in pulse.modules if m.waits_for in causes
    )
    return f"; {', '.join(waiting)} wait{'s' * (len(waiting) == 1)} for it" if waiting else ""
