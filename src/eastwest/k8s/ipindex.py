"""Who held an address at a time, for whole columns of addresses at once.

Built from claims ([from, to) intervals); knows nothing of pods. An address that changes hands inside a flow's time, or
too near to it to be sure, is ambiguous: never a false name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
NOBODY: Final = -1
AMBIGUOUS: Final = -2
FOREVER: Final = 2**63 - 1
GRACE_NS: Final = 3_000_000_000
"""How far a record may stick out of its owner's interval before a neighbour of the address makes it ambiguous: a pod
talks before its address is reported, and a watch event comes late."""

_BITS: Final = np.uint64(32)
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_LAST_SHIFT: Final = np.uint64(31)


@dataclass(frozen=True, slots=True)
class Claim:
    """`owner` holds (ip, port) within [from_ns, to_ns). Port 0 stands for the whole address."""

    ip: bytes  # 16 bytes
    from_ns: int
    to_ns: int
    owner: int  # >= 0
    port: int = 0


class IpIndex:
    """An immutable index over claims. Of two overlapping claims the one that began later ends the other."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        held: defaultdict[tuple[bytes, int], list[Claim]] = defaultdict(list)
        for claim in claims:
            held[claim.ip, claim.port].append(claim)
        keys = list(held)
        self._words = np.frombuffer(b"".join(ip for ip, _ in keys), np.uint64).reshape(len(keys), 2)
        self._ports = np.array([port for _, port in keys], np.uint64)
        self._seed = _free_seed(self._words, self._ports)
        hashes = _hash(self._words, self._ports, self._seed)
        order = np.argsort(hashes)
        self._hashes, self._words, self._ports = hashes[order], self._words[order], self._ports[order]
        rows = [
            (rank, start, end, owner)
            for rank, key in enumerate(order)
            for start, end, owner in _settle(held[keys[key]])
        ]
        table = np.array(rows, np.int64).reshape(len(rows), 4)
        self._owner = table[:, 3]
        self._times = np.unique(table[:, 1:3])
        rank = table[:, 0].astype(np.uint64) << _BITS
        self._start = np.searchsorted(self._times, table[:, 1]).astype(np.uint64) + np.uint64(1)
        self._end = np.searchsorted(self._times, table[:, 2]).astype(np.uint64) + np.uint64(1)
        self._start_key, self._end_key = rank | self._start, rank | self._end

    def resolve(
        self, ips: NDArray[np.uint8], first_ns: Ints, last_ns: Ints, ports: NDArray[np.uint16] | None = None
    ) -> Ints:
        """The owner of each (n, 16) address during [first_ns, last_ns], both inclusive; NOBODY or AMBIGUOUS."""
        out = np.full(len(ips), NOBODY, np.int64)
        if not len(self._owner) or not len(ips):
            return out
        words = np.ascontiguousarray(ips).view(np.uint64).reshape(len(ips), 2)
        port = np.zeros(len(ips), np.uint64) if ports is None else ports.astype(np.uint64)
        hashes = _hash(words, port, self._seed)
        at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        hit = (self._hashes[at] == hashes) & (self._words[at] == words).all(axis=1) & (self._ports[at] == port)
        rows = np.flatnonzero(hit)
        out[rows] = self._resolve(at[rows].astype(np.uint64) << _BITS, first_ns[rows], last_ns[rows])
        return out

    def _resolve(self, rank: NDArray[np.uint64], first: Ints, last: Ints) -> Ints:
        """Owners by rank (already shifted): exactly one holder in time, and no other one near where it sticks out."""
        low, high = self._span(rank, first, last)
        out = np.full(len(rank), NOBODY, np.int64)
        some = high >= low
        out[some] = np.where(high[some] > low[some], AMBIGUOUS, self._owner[low[some]])
        inside = np.zeros(len(rank), bool)
        one = np.flatnonzero(high == low)
        began = self._start[low[one]] <= self._count(first[one])
        inside[one] = began & (self._end[low[one]] > self._count(last[one]))
        rest = np.flatnonzero((high <= low) & ~inside)
        if len(rest):
            near_low, near_high = self._span(rank[rest], _before(first[rest]), _after(last[rest]))
            early = (near_low < low[rest]) & (high[rest] == low[rest])
            late = (near_high > high[rest]) & (high[rest] == low[rest])
            before = early & (self._start[np.minimum(low[rest], len(self._start) - 1)] > self._count(first[rest]))
            after = late & (self._end[np.minimum(low[rest], len(self._end) - 1)] <= self._count(last[rest]))
            alone = (high[rest] < low[rest]) & (near_high == near_low)
            crowded = (high[rest] < low[rest]) & (near_high > near_low)
            out[rest[before | after | crowded]] = AMBIGUOUS
            out[rest[alone]] = self._owner[near_low[alone]]
        return out

    def _span(self, rank: NDArray[np.uint64], first: Ints, last: Ints) -> tuple[Ints, Ints]:
        """(lowest, highest) interval that meets [first, last]; highest < lowest when none does."""
        high = np.searchsorted(self._start_key, rank | self._count(last), "right") - 1
        low = np.searchsorted(self._end_key, rank | self._count(first), "right")
        return low.astype(np.int64), high.astype(np.int64)

    def _count(self, at: Ints) -> NDArray[np.uint64]:
        """How many known times are at or before each moment."""
        return np.searchsorted(self._times, at, "right").astype(np.uint64)


def _before(at: Ints) -> Ints:
    return np.maximum(at, GRACE_NS) - GRACE_NS


def _after(at: Ints) -> Ints:
    return np.minimum(at, FOREVER - GRACE_NS) + GRACE_NS


def _settle(claims: list[Claim]) -> list[tuple[int, int, int]]:
    """Disjoint (from, to, owner) in order; equal starts by different owners are ambiguous; one owner's are joined."""
    out: list[tuple[int, int, int]] = []
    for claim in sorted(claims, key=lambda c: (c.from_ns, c.to_ns)):
        start, end, owner = claim.from_ns, claim.to_ns, claim.owner
        if start >= end:
            continue
        if out:
            earlier_start, earlier_end, earlier = out[-1]
            if earlier == owner and earlier_end >= start:
                out[-1] = (earlier_start, max(earlier_end, end), owner)
                continue
            if earlier_start == start:
                out[-1] = (start, max(earlier_end, end), AMBIGUOUS)
                continue
            if earlier_end > start:
                out[-1] = (earlier_start, start, earlier)
        out.append((start, end, owner))
    return out


def _hash(words: NDArray[np.uint64], ports: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """One word after the other, each mixed into every bit: pods' addresses differ in a few bits only, mostly in the last
    byte of each half, and those of two halves must not make up for each other."""
    return _mixed(_mixed(_mixed(words[:, 0] + np.uint64(seed)) ^ words[:, 1]) ^ ports)


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's finalizer (Steele, Lea and Flood 2014), for each word: no two words become one."""
    mixed = words + _GOLDEN
    for shift, factor in _MIX:
        mixed ^= mixed >> shift
        mixed *= factor
    mixed ^= mixed >> _LAST_SHIFT
    return mixed


def _free_seed(words: NDArray[np.uint64], ports: NDArray[np.uint64]) -> int:
    """A seed under which no two of the keys collide, so that a hit needs one comparison."""
    for seed in range(64):
        if len(np.unique(_hash(words, ports, seed))) == len(words):
            return seed
    raise AssertionError("64 seeds collided")
