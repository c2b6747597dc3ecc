"""The semantic difference of two policy sets: connections added and removed, not lines of YAML.

Both sides are cut at the same addresses, so the outside is compared interval by interval and reported as CIDRs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from eastwest.model.cluster import ClusterState
from eastwest.model.flow import Workload
from eastwest.policy.addresses import AddressSet
from eastwest.policy.connections import AllPairs, ConnectionEnd
from eastwest.policy.engine import Engine
from eastwest.policy.options import Options
from eastwest.policy.peers import DomainMap
from eastwest.policy.ports import NOTHING, PortSet, normalize

Change = Literal["added", "removed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Ports of one pair that only the new side (added) or only the old side (removed) permits.

    new_end: a workload of the pair exists on one side only, so the change is not (only) a policy's doing.
    """

    change: Change
    src: ConnectionEnd
    dst: ConnectionEnd
    ports: PortSet
    new_end: bool = False

    def rows(self) -> Iterator[dict[str, str]]:
        """As the rows of `connections`, with `change`."""
        for protocol, ports in self.ports.rows():
            ends = {"change": self.change, "src": str(self.src), "dst": str(self.dst)}
            yield ends | {"protocol": protocol, "ports": ports}
        if self.ports.other and not any(self.ports.slots):
            yield {"change": self.change, "src": str(self.src), "dst": str(self.dst), "protocol": "ICMP", "ports": ""}

    def sentence(self, *, short: bool) -> str:
        """`adds orders → orders-postgresql TCP 5432`; with the namespace unless `short`."""
        verb = "adds" if self.change == "added" else "removes"
        note = " (the workload itself is new or gone)" if self.new_end else ""
        return f"{verb} {_name(self.src, short)} → {_name(self.dst, short)} {self.ports}{note}"


def _name(end: ConnectionEnd, short: bool) -> str:
    if isinstance(end, Workload):
        return end.name if short else f"{end.namespace}/{end.name}"
    return end


def with_workloads_of(state: ClusterState, other: ClusterState) -> ClusterState:
    """A side that has policies only is completed with the other side's namespaces, nodes, pods and services."""
    if state.pods:
        return state
    known = {n.name for n in other.namespaces}
    own = tuple(n for n in state.namespaces if n.name not in known)
    return replace(
        state, namespaces=other.namespaces + own, nodes=other.nodes, pods=other.pods, services=other.services
    )


def compare(
    old: ClusterState, new: ClusterState, options: Options | None = None, domains: DomainMap | None = None
) -> Iterator[Difference]:
    """Removed and added connections, workload pairs first, sorted. Nothing for sets that permit the same."""
    engines = [Engine(state, options, domains) for state in (old, new)]
    cuts = tuple(chain.from_iterable((p.addresses, p.outside) for e in engines for p in e.peers))
    sides = [_Side(AllPairs(Engine(state, options, domains, cuts))) for state in (old, new)]
    names = sorted(sides[0].at.keys() | sides[1].at.keys(), key=str)
    for src in names:
        before, after = (side.to_workloads(src) for side in sides)
        for dst in sorted(before.keys() | after.keys(), key=str):
            if src != dst:
                lone = any(w not in side.at for side in sides for w in (src, dst))
                yield from _both(src, dst, before.get(dst, NOTHING), after.get(dst, NOTHING), lone)
    for name in names:
        for inbound in (False, True):
            yield from _outside(name, sides, inbound)


class _Side:
    """One policy set's answers, by workload."""

    def __init__(self, pairs: AllPairs) -> None:
        self.pairs = pairs
        self.at = {w: i for i, w in enumerate(pairs.workloads)}

    def to_workloads(self, src: Workload) -> dict[Workload, PortSet]:
        if src not in self.at:
            return {}
        row, sets = self.pairs.to_workloads(self.at[src]), self.pairs.rows.ports.sets
        return {self.pairs.workloads[i]: sets[row[i]] for i in np.flatnonzero(row).tolist()}

    def outside(self, workload: Workload, family: int, *, inbound: bool) -> list[PortSet]:
        """Per interval; nothing at all when the workload does not exist on this side."""
        if workload not in self.at:
            return [NOTHING] * len(self.pairs.engine.identities.intervals[family])
        row, sets = self.pairs.outside(self.at[workload], family, inbound=inbound), self.pairs.rows.ports.sets
        return [sets[i] for i in row.tolist()]


def _both(src: ConnectionEnd, dst: ConnectionEnd, before: PortSet, after: PortSet, lone: bool) -> Iterator[Difference]:
    if before - after:
        yield Difference("removed", src, dst, before - after, lone)
    if after - before:
        yield Difference("added", src, dst, after - before, lone)


def _outside(workload: Workload, sides: list[_Side], inbound: bool) -> Iterator[Difference]:
    """Differences towards (or from) the outside, intervals with the same difference joined into CIDRs."""
    found: dict[tuple[Change, PortSet], dict[int, list[tuple[int, int]]]] = {}
    lone = any(workload not in side.at for side in sides)
    for family, intervals in sides[0].pairs.engine.identities.intervals.items():
        before, after = (side.outside(workload, family, inbound=inbound) for side in sides)
        ids = {(old, new): n for n, (old, new) in enumerate(zip(before, after, strict=True))}
        row = np.array([ids[pair] for pair in zip(before, after, strict=True)])
        skipped = sides[0].pairs.inside(family, row) | sides[1].pairs.inside(family, row)
        for i in np.flatnonzero(~skipped).tolist():
            old, new = before[i], after[i]
            changes: tuple[tuple[Change, PortSet], ...] = (("removed", old - new), ("added", new - old))
            for change, ports in changes:
                if ports:
                    found.setdefault((change, ports), {}).setdefault(family, []).append(intervals.bounds(i))
    for (change, ports), ranges in found.items():
        addresses = AddressSet(normalize(ranges.get(4, ())), normalize(ranges.get(6, ())))
        for cidr in addresses.cidrs():
            ends = (cidr, workload) if inbound else (workload, cidr)
            yield Difference(change, ends[0], ends[1], ports, lone)
