"""All permitted connections between workloads, and between workloads and the outside.

A workload pair lists what some pod of the one may open to some pod of the other (pods of one workload rarely differ).
Connections of a workload with itself are left out unless asked for. External ends are given as the fewest CIDRs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eastwest.model.flow import Workload
from eastwest.policy.addresses import AddressSet
from eastwest.policy.engine import Engine
from eastwest.policy.identities import Ids
from eastwest.policy.ports import PortIds, PortSet, PortTable, normalize
from eastwest.policy.rows import PairRows
from eastwest.policy.universe import Mask

ConnectionEnd = Workload | str
"""A workload, or a CIDR."""


@dataclass(frozen=True, slots=True)
class Connection:
    """`ports` is never empty."""

    src: ConnectionEnd
    dst: ConnectionEnd
    ports: PortSet

    def rows(self) -> Iterator[dict[str, str]]:
        """One row per protocol, or one row with protocol `*` when all ports of TCP, UDP and SCTP are allowed."""
        for protocol, ports in self.ports.rows():
            yield {"src": str(self.src), "dst": str(self.dst), "protocol": protocol, "ports": ports}


class AllPairs:
    """Workloads sorted by text; everything else is by position in `workloads`. `rows.ports` holds the port sets."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.rows = PairRows(engine)
        pods: dict[Workload, list[int]] = {}
        for i, pod in enumerate(engine.universe.pods):
            if engine.universe.live[i]:
                pods.setdefault(pod.workload, []).append(i)
        self.workloads = sorted(pods, key=str)
        self._pods = [pods[w] for w in self.workloads]
        self._ids = [self._identities(p) for p in self._pods]
        self._rounds = {f: self._by_round(f) for f in (4, 6)}
        one_view = all(ids[4] == ids[6] or not (ids[4] and ids[6]) for ids in self._ids)
        self._families = (4, 6) if not one_view or not all(ids[4] for ids in self._ids) else (4,)
        self._same_node = self._own_node_pairs()
        self._pods_only = {
            f: np.array([self._is_pod(f, *space.bounds(i)) for i in range(len(space))], np.bool_)
            for f, space in engine.identities.intervals.items()
        }

    def _is_pod(self, family: int, low: int, high: int) -> bool:
        """An interval of one address, which a pod has: nothing outside."""
        return low == high and (family, low) in self.engine.universe.pod_at

    def _identities(self, pods: list[int]) -> dict[int, list[int]]:
        """Distinct identities per family of the pods that have an address in it, or have no known address."""
        out = {}
        for family, of_pod in self.engine.identities.of_pod.items():
            mine = [p for p in pods if family in self.engine.ends.families_of_pod(p)]
            out[family] = sorted({int(of_pod[p]) for p in mine})
        return out

    def _by_round(self, family: int) -> list[tuple[Ids, Ids]]:
        """The n-th identity of every workload that has one: (workloads, identities) per n."""
        out, n = [], 0
        while some := [(w, ids[family][n]) for w, ids in enumerate(self._ids) if len(ids[family]) > n]:
            workloads, identities = zip(*some, strict=True)
            out.append((np.asarray(workloads, np.int32), np.asarray(identities, np.int32)))
            n += 1
        return out

    def _own_node_pairs(self) -> dict[int, set[int]]:
        """Workloads that meet as a node and a pod on it: nothing is denied between those pods."""
        universe, out = self.engine.universe, dict[int, set[int]]()
        on_node: dict[int, set[int]] = {}
        hosts: dict[int, set[int]] = {}
        for w, pods in enumerate(self._pods):
            for p in pods:
                node = int(universe.pod_node[p])
                if node >= 0:
                    (hosts if universe.is_node[p] else on_node).setdefault(node, set()).add(w)
        for node, mine in hosts.items():
            for host in mine:
                for other in on_node.get(node, ()):
                    out.setdefault(host, set()).add(other)
                    out.setdefault(other, set()).add(host)
        return out

    def to_workloads(self, src: int) -> PortIds:
        """What workload `src` may open to every workload, (n_workloads,)."""
        table = self.rows.ports
        out = np.zeros(len(self.workloads), np.int32)
        for family in self._families:
            for identity in self._ids[src][family]:
                row = self.rows.row(identity)
                for workloads, identities in self._rounds[family]:
                    out[workloads] = table.union(out[workloads], row[identities])
        out[list(self._same_node.get(src, ()))] = PortTable.EVERYTHING
        return out

    def outside(self, workload: int, family: int, *, inbound: bool) -> PortIds:
        """What may pass to (or, inbound, from) each interval of the outside, (n_intervals,)."""
        spaces = self.engine.identities.of_interval[family]
        out = np.zeros(len(spaces), np.int32)
        for identity in self._ids[workload][family]:
            row = self.rows.ingress(identity) if inbound else self.rows.egress(identity)
            out = self.rows.ports.union(out, row[spaces])
        return out

    def inside(self, family: int, row: NDArray[np.integer]) -> Mask:
        """Intervals that are no outside at all, being a pod's address, unless they just continue a neighbour's range."""
        same = row[1:] == row[:-1]
        continues = np.append(False, same) | np.append(same, False)
        out: Mask = self._pods_only[family] & ~continues
        return out

    def outside_sets(self, workload: int, *, inbound: bool) -> list[tuple[int, AddressSet]]:
        """The outside by port set: (id, addresses), without those that may not pass at all."""
        found: dict[int, dict[int, list[tuple[int, int]]]] = {}
        for family, intervals in self.engine.identities.intervals.items():
            row = self.outside(workload, family, inbound=inbound)
            for i in np.flatnonzero((row != 0) & ~self.inside(family, row)):
                found.setdefault(int(row[i]), {}).setdefault(family, []).append(intervals.bounds(int(i)))
        return [
            (ports, AddressSet(normalize(ranges.get(4, ())), normalize(ranges.get(6, ()))))
            for ports, ranges in found.items()
        ]


def connections(engine: Engine, *, include_self: bool = False) -> Iterator[Connection]:
    """Workload by workload: to workloads, then to the outside; last, from the outside. Sorted, one entry per pair."""
    pairs = AllPairs(engine)
    sets = pairs.rows.ports.sets
    for i, src in enumerate(pairs.workloads):
        row = pairs.to_workloads(i)
        for j in np.flatnonzero(row).tolist():
            if include_self or i != j:
                yield Connection(src, pairs.workloads[j], sets[row[j]])
        for cidr, ports in _cidrs(pairs, i, inbound=False):
            yield Connection(src, cidr, ports)
    for j, dst in enumerate(pairs.workloads):
        for cidr, ports in _cidrs(pairs, j, inbound=True):
            yield Connection(cidr, dst, ports)


def _cidrs(pairs: AllPairs, workload: int, *, inbound: bool) -> Iterator[tuple[str, PortSet]]:
    for ports, addresses in pairs.outside_sets(workload, inbound=inbound):
        for cidr in addresses.cidrs():
            yield cidr, pairs.rows.ports.sets[ports]
