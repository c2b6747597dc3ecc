"""Identities: ends that no rule tells apart. Decisions are made between identities, never between pods.

Two ends share an identity when the same peer sets contain them, the same rule tables apply to them and their named
ports are equal. Pods have one identity per IP family (an ipBlock may hold only one of their addresses); every address
that is no pod's falls into one of the intervals cut by the CIDRs in use, which have identities too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from eastwest.policy.addresses import MAX_V4, MAX_V6, AddressSet
from eastwest.policy.peers import PeerSet
from eastwest.policy.ports import Ranges
from eastwest.policy.universe import Mask, Universe

Ids = NDArray[np.int32]
FAMILIES = (4, 6)
_LAST = {4: MAX_V4, 6: MAX_V6}


class Intervals:
    """One family's address space, cut wherever a peer set begins or ends."""

    def __init__(self, family: int, sets: Iterable[AddressSet]) -> None:
        self.family = family
        cuts = {0}
        for one in sets:
            for low, high in one.of_family(family):
                cuts.update((low, high + 1))
        cuts.discard(_LAST[family] + 1)
        self.starts: list[int] = sorted(cuts)

    def __len__(self) -> int:
        return len(self.starts)

    def find(self, address: int) -> int:
        """The interval that holds an address."""
        return bisect_right(self.starts, address) - 1

    def bounds(self, interval: int) -> tuple[int, int]:
        """First and last address, both inclusive."""
        last = self.starts[interval + 1] - 1 if interval + 1 < len(self.starts) else _LAST[self.family]
        return self.starts[interval], last

    def members(self, ranges: Ranges) -> Mask:
        """Which intervals lie in `ranges`, whose ends are all cuts, (n_intervals,)."""
        out = np.zeros(len(self.starts), np.bool_)
        for low, high in ranges:
            out[self.find(low) : self.find(high) + 1] = True
        return out


class Identities:
    """`member[peer set, identity]`, and the identity of every pod and interval."""

    def __init__(
        self, universe: Universe, peers: Sequence[PeerSet], behaviour: Ids, cuts: Sequence[AddressSet]
    ) -> None:
        """`behaviour`: (n_pods,), equal where tables and named ports are equal; 0 where none apply.

        `cuts`: more address sets whose bounds must be told apart (to compare two engines interval by interval).
        """
        n_pods = len(universe.pods)
        sets = [s for p in peers for s in (p.addresses, p.outside)] + list(cuts)
        self.intervals = {f: Intervals(f, sets) for f in FAMILIES}
        self._sizes = [n_pods, n_pods, *(len(self.intervals[f]) for f in FAMILIES)]
        member = np.zeros((len(peers), sum(self._sizes)), np.bool_)
        for row, peer in zip(member, peers, strict=True):
            self._fill(row, peer)
        self._fill_pod_addresses(member, peers, universe)
        outside = np.zeros(sum(self._sizes[2:]), np.int32)
        ids, first = _distinct(member, np.concatenate((behaviour, behaviour, outside)))
        self.member = np.ascontiguousarray(member[:, first])
        self.representative = first
        v4, v6, i4, i6 = np.split(ids, np.cumsum(self._sizes)[:-1])
        self.of_pod: dict[int, Ids] = {4: v4, 6: v6}
        self.of_interval: dict[int, Ids] = {4: i4, 6: i6}

    def __len__(self) -> int:
        return int(self.member.shape[1])

    def _views(self, row: Mask) -> list[Mask]:
        return np.split(row, np.cumsum(self._sizes)[:-1])

    def _fill(self, row: Mask, peer: PeerSet) -> None:
        """Labels for pods, intervals for addresses; all True for everyone."""
        pods4, pods6, *spaces = self._views(row)
        pods4[:] = pods6[:] = peer.pods | peer.everyone
        for family, space in zip(FAMILIES, spaces, strict=True):
            space[:] = peer.everyone
            for ranges in (peer.addresses.of_family(family), peer.outside.of_family(family)):
                if ranges:
                    space |= self.intervals[family].members(ranges)

    def _fill_pod_addresses(self, member: Mask, peers: Sequence[PeerSet], universe: Universe) -> None:
        """Pods by their addresses. A pod whose address is unknown is in a set only if every address of a family is."""
        with_addresses = [i for i, p in enumerate(peers) if p.addresses or p.outside]
        if not with_addresses:
            return
        n_pods = len(universe.pods)
        for family, start in zip(FAMILIES, (0, n_pods), strict=True):
            intervals = self.intervals[family]
            where = np.full(n_pods, -1, np.int32)
            for pod in range(n_pods):
                if found := universe.addresses(pod, family):
                    where[pod] = intervals.find(found[0])
            for i in with_addresses:
                addresses = peers[i].addresses.of_family(family)
                outside = peers[i].outside.of_family(family)
                view = member[i, start : start + n_pods]
                view |= _by_address(intervals, addresses, where) & universe.live
                view |= _by_address(intervals, outside, where) & universe.is_node


def _by_address(intervals: Intervals, ranges: Ranges, where: Ids) -> Mask:
    if not ranges:
        return np.zeros(len(where), np.bool_)
    inside = np.append(intervals.members(ranges), ranges == ((0, _LAST[intervals.family]),))
    return np.asarray(inside[where], np.bool_)  # -1, unknown, takes the appended last element


def _distinct(member: Mask, behaviour: Ids) -> tuple[Ids, NDArray[np.int64]]:
    """Identity of each end, numbered in order of first appearance, and one end of each identity."""
    rows = np.packbits(member, axis=0).T
    keys = np.ascontiguousarray(np.hstack((rows, np.ascontiguousarray(behaviour).view(np.uint8).reshape(-1, 4))))
    seen: dict[bytes, int] = {}
    first: list[int] = []
    out = np.empty(len(keys), np.int32)
    for i, key in enumerate(keys):
        text = key.tobytes()
        found = seen.setdefault(text, len(first))
        if found == len(first):
            first.append(i)
        out[i] = found
    return out, np.asarray(first, np.int64)
