"""Sets of (protocol, port): exact algebra on ranges, and a table that interns sets so that arrays can hold their ids.

Knows nothing of policies. `PortSet` is used pair by pair, `PortTable` by the all-pairs rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eastwest.model.flow import Protocol

Ranges = tuple[tuple[int, int], ...]
"""Sorted, disjoint, not adjacent; both bounds inclusive."""
PortIds = NDArray[np.int32]

FIRST_PORT: Final = 1
LAST_PORT: Final = 65535
FULL: Final[Ranges] = ((FIRST_PORT, LAST_PORT),)
PORT_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_SLOT: Final = {int(Protocol.TCP): 0, int(Protocol.UDP): 1, int(Protocol.SCTP): 2}


def normalize(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges in any order, overlapping or empty, as `Ranges`."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(r for r in ranges if r[0] <= r[1]):
        if out and low <= out[-1][1] + 1:
            if high > out[-1][1]:
                out[-1] = (out[-1][0], high)
        else:
            out.append((low, high))
    return tuple(out)


def intersect(a: Ranges, b: Ranges) -> Ranges:
    """What lies in both; used for ports and for address intervals alike."""
    out: list[tuple[int, int]] = []
    i = j = 0
    while i < len(a) and j < len(b):
        low, high = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if low <= high:
            out.append((low, high))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return tuple(out)


def subtract(a: Ranges, b: Ranges) -> Ranges:
    """What lies in `a` and not in `b`."""
    out: list[tuple[int, int]] = []
    for low, high in a:
        for cut_low, cut_high in b:
            if cut_high < low or cut_low > high:
                continue
            if cut_low > low:
                out.append((low, cut_low - 1))
            low = cut_high + 1
        if low <= high:
            out.append((low, high))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class PortSet:
    """Ports per protocol; `other` = every protocol without ports in NetworkPolicy (ICMP and all the rest)."""

    tcp: Ranges = ()
    udp: Ranges = ()
    sctp: Ranges = ()
    other: bool = False

    @property
    def slots(self) -> tuple[Ranges, Ranges, Ranges]:
        return self.tcp, self.udp, self.sctp

    def __bool__(self) -> bool:
        return bool(self.tcp or self.udp or self.sctp or self.other)

    def __or__(self, other: PortSet) -> PortSet:
        if not self or not other:
            return self if self else other
        tcp, udp, sctp = (a if a == b else normalize(a + b) for a, b in zip(self.slots, other.slots, strict=True))
        return PortSet(tcp, udp, sctp, self.other or other.other)

    def __and__(self, other: PortSet) -> PortSet:
        tcp, udp, sctp = (a if a == b else intersect(a, b) for a, b in zip(self.slots, other.slots, strict=True))
        return PortSet(tcp, udp, sctp, self.other and other.other)

    def __sub__(self, other: PortSet) -> PortSet:
        tcp, udp, sctp = (subtract(a, b) for a, b in zip(self.slots, other.slots, strict=True))
        return PortSet(tcp, udp, sctp, self.other and not other.other)

    def contains(self, protocol: int, port: int) -> bool:
        """Whether IP protocol number `protocol` to `port` is in the set; `port` is ignored for `other` protocols."""
        slot = _SLOT.get(protocol)
        if slot is None:
            return self.other
        return any(low <= port <= high for low, high in self.slots[slot])

    def rows(self) -> Iterator[tuple[str, str]]:
        """(protocol, "80,443-445") per protocol; all ports of TCP, UDP and SCTP as one row ("*", "1-65535")."""
        if self.slots == (FULL, FULL, FULL):
            yield "*", f"{FIRST_PORT}-{LAST_PORT}"
            return
        for name, ranges in zip(PORT_PROTOCOLS, self.slots, strict=True):
            if ranges:
                yield name, format_ranges(ranges)

    def __str__(self) -> str:
        if self == EVERYTHING:
            return "all ports, all protocols"
        words = [
            "all ports of TCP, UDP and SCTP" if name == "*" else name if ports == "1-65535" else f"{name} {ports}"
            for name, ports in self.rows()
        ]
        return ", ".join(words + ["ICMP and other protocols"] * self.other) or "nothing"


NOTHING: Final = PortSet()
EVERYTHING: Final = PortSet(FULL, FULL, FULL, other=True)


def format_ranges(ranges: Ranges) -> str:
    """`80,443-445`."""
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def ports_of(protocol: str, start: int | None = None, end: int | None = None) -> PortSet:
    """The set of one protocol name and one inclusive range; no start = every port, no end = just `start`."""
    low, high = (FIRST_PORT, LAST_PORT) if start is None else (start, start if end is None else end)
    low, high = max(low, FIRST_PORT), min(high, LAST_PORT)
    ranges = ((low, high),) if low <= high else ()
    if protocol == "TCP":
        return PortSet(ranges)
    return PortSet(udp=ranges) if protocol == "UDP" else PortSet(sctp=ranges) if protocol == "SCTP" else NOTHING


class PortTable:
    """Interns port sets: id 0 is nothing, id 1 is everything; memoises union, intersection and difference of ids."""

    NOTHING: Final = 0
    EVERYTHING: Final = 1

    def __init__(self) -> None:
        self.sets: list[PortSet] = [NOTHING, EVERYTHING]
        self._ids: dict[PortSet, int] = {NOTHING: 0, EVERYTHING: 1}
        self._memo: dict[tuple[str, int, int], int] = {}

    def id(self, ports: PortSet) -> int:
        """The id of `ports`, new when never seen."""
        found = self._ids.setdefault(ports, len(self.sets))
        if found == len(self.sets):
            self.sets.append(ports)
        return found

    def union(self, a: PortIds, b: PortIds | int) -> PortIds:
        """Element by element; `b` may be one id for all. The common cases never leave numpy."""
        other = np.broadcast_to(np.asarray(b, np.int32), a.shape)
        out = np.where(a == 0, other, a)
        out[other == self.EVERYTHING] = self.EVERYTHING
        hard = (a > 1) & (other > 1) & (a != other)
        if hard.any():
            out[hard] = self._map("or", a[hard], other[hard], PortSet.__or__)
        return out.astype(np.int32, copy=False)

    def intersection(self, a: PortIds, b: PortIds | int) -> PortIds:
        """Element by element; the common cases (nothing, everything, equal) never leave numpy."""
        other = np.broadcast_to(np.asarray(b, np.int32), a.shape)
        out = np.where(a == self.EVERYTHING, other, np.where((other == self.EVERYTHING) | (other == a), a, 0))
        hard = (a > 1) & (other > 1) & (a != other)
        if hard.any():
            out[hard] = self._map("and", a[hard], other[hard], PortSet.__and__)
        return out.astype(np.int32, copy=False)

    def difference(self, a: PortIds, b: PortIds | int) -> PortIds:
        """What is in `a` and not in `b`, element by element."""
        return self._map("sub", a, b, PortSet.__sub__)

    def _map(self, name: str, a: PortIds, b: PortIds | int, op: Callable[[PortSet, PortSet], PortSet]) -> PortIds:
        codes = a.astype(np.int64) << 32 | np.asarray(b, np.int64)
        unique, inverse = np.unique(codes, return_inverse=True)
        results = [self._one(name, int(c) >> 32, int(c) & 0xFFFFFFFF, op) for c in unique]
        return np.asarray(results, np.int32)[inverse]

    def _one(self, name: str, a: int, b: int, op: Callable[[PortSet, PortSet], PortSet]) -> int:
        key = (name, a, b)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = self.id(op(self.sets[a], self.sets[b]))
        return found
