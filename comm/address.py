"""The place of one local module in the grid, and the grid itself."""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Address:
    """Row `k` (depth) and column `g` (group, or replica) of a module; prints `k3g1` everywhere."""

    k: int
    g: int

    def __str__(self) -> str:
        return f"k{self.k}g{self.g}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """The address that prints as `text`."""
        found = re.fullmatch(r"k(\d+)g(\d+)", text)
        if found is None:
            raise ValueError(f"{text!r} is not an address; addresses look like k3g1")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Groups per depth, and which process (rank) hosts which address.

    `groups[k]` modules stand in row k of the trunk; rows may differ (a ragged grid). With
    `readout`, one more address, the read-out head `k{depth}g0`, is hosted by the process of
    the last row's group 0, so the number of processes is always `sum(groups)`.

        groups=(2, 2), readout=True        rank 0: k0g0    rank 2: k1g0 k2g0
                                           rank 1: k0g1    rank 3: k1g1
    """

    groups: tuple[int, ...]
    readout: bool = False

    @property
    def depth(self) -> int:
        """How many rows the trunk has; the read-out head is not counted."""
        return len(self.groups)

    @property
    def processes(self) -> int:
        return sum(self.groups)

    @property
    def rows(self) -> tuple[tuple[Address, ...], ...]:
        """All addresses, row by row, the read-out head's row last."""
        sizes = (*self.groups, 1) if self.readout else self.groups
        return tuple(tuple(Address(k, g) for g in range(size)) for k, size in enumerate(sizes))

    def __iter__(self) -> Iterator[Address]:
        return (address for row in self.rows for address in row)

    def rank(self, address: Address) -> int:
        """The process that hosts `address`."""
        if address.k == self.depth:  # the read-out head
            return self.rank(Address(self.depth - 1, 0))
        return sum(self.groups[: address.k]) + address.g

    def hosted(self, rank: int) -> tuple[Address, ...]:
        """The addresses that process `rank` hosts, in row order."""
        return tuple(address for address in self if self.rank(address) == rank)

    def __str__(self) -> str:
        if len(set(self.groups)) == 1:
            return f"{self.depth}x{self.groups[0]}"
        return "-".join(map(str, self.groups))
