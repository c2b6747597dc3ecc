"""The two ends of a connection: a pod, a node or an address, one at a time or as columns."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eastwest.policy.addresses import split_address
from eastwest.policy.identities import FAMILIES, Identities, Ids
from eastwest.policy.universe import Mask, Universe


@dataclass(frozen=True, slots=True)
class End:
    """pod: position in `ClusterState.pods`. node: set when the end *is* that node (a node's address, or a host-network
    pod under host_network=exempt; -1 = a node that is not known). address: (4 or 6, integer), None = known by its pod only."""

    pod: int | None = None
    node: int | None = None
    address: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Ends:
    """Ends as columns, each (n,) int32: identity; pod (-1 = not a pod); node (-1 = the end is not a node)."""

    identity: Ids
    pod: Ids
    node: Ids

    def __len__(self) -> int:
        return len(self.identity)


class EndResolver:
    """Finds ends by name or address, and the identity of an end."""

    def __init__(self, universe: Universe, identities: Identities) -> None:
        self._universe = universe
        self._identities = identities
        self._cluster_families = universe.families()
        self._by_name = {(p.namespace, p.name): i for i, p in enumerate(universe.pods)}
        self._known = {
            **{a: End(node=n, address=a) for a, n in universe.node_at.items()},
            **{a: End(pod=p, address=a) for a, p in universe.pod_at.items()},
        }

    def pod(self, namespace: str, name: str) -> End:
        """A pod by name. Raises KeyError."""
        return self.pod_at(self._by_name[namespace, name])

    def pod_at(self, index: int) -> End:
        """A pod by its position in `ClusterState.pods`."""
        node = int(self._universe.pod_node[index]) if self._universe.is_node[index] else None
        return End(pod=index, node=node)

    def node(self, name: str) -> tuple[End, ...]:
        """A node by name, one end per address. Raises KeyError."""
        index = self._universe.node_index[name]
        return tuple(end for end in self._known.values() if end.node == index and end.pod is None)

    def address(self, text: str) -> End:
        """Whatever has the address now: a pod, a node, or nothing of this cluster. Raises ValueError on bad text."""
        key = split_address(ipaddress.ip_address(text))
        return self._known.get(key, End(address=key))

    def families(self, src: End, dst: End) -> tuple[int, ...]:
        """The IP families that both ends have; an end whose address is unknown has those of the cluster."""
        mine, other = self._families(src), self._families(dst)
        return tuple(f for f in FAMILIES if f in mine and f in other) or mine

    def _families(self, end: End) -> tuple[int, ...]:
        if end.address is not None:
            return (end.address[0],)
        assert end.pod is not None
        return self.families_of_pod(end.pod)

    def families_of_pod(self, pod: int) -> tuple[int, ...]:
        """The families of its addresses; those of the cluster when it has none that is known."""
        return tuple(f for f in FAMILIES if self._universe.addresses(pod, f)) or self._cluster_families

    def identity(self, end: End, family: int) -> int:
        """The identity of an end, as it is seen in one family."""
        if end.pod is not None:
            return int(self._identities.of_pod[family][end.pod])
        assert end.address is not None
        family, value = end.address
        return int(self._identities.of_interval[family][self._identities.intervals[family].find(value)])

    def columns(self, pods: NDArray[np.integer], addresses: NDArray[np.uint8]) -> Ends:
        """Many ends: pods (n,), -1 where the pod is not known; addresses (n, 16), IPv4 mapped, never ignored: they give
        the family of a pod, and find a pod or node that `pods` leaves open."""
        halves = np.ascontiguousarray(addresses).view(">u8").reshape(-1, 2).astype(np.uint64)
        is_v4 = (halves[:, 0] == 0) & (halves[:, 1] >> np.uint64(32) == 0xFFFF)
        out = Ends(*(np.full(len(halves), -1, np.int32) for _ in range(3)))
        given = np.asarray(pods, np.int32)
        all_v4 = bool(is_v4.all())
        rows6 = np.flatnonzero(~is_v4)
        if len(rows6) < len(halves):
            rows4 = slice(None) if all_v4 else np.flatnonzero(is_v4)
            values = halves[rows4, 1].astype(np.uint32)  # the low half of an IPv4-mapped address
            unique4 = np.unique(values)  # without return_inverse: sorting all rows costs more than looking them up
            self._look_up(4, rows4, unique4, np.searchsorted(unique4, values), out)
        if len(rows6):
            packed = np.ascontiguousarray(addresses[rows6]).view("V16").reshape(-1)
            unique, inverse = np.unique(packed, return_inverse=True)
            self._look_up(6, rows6, unique, inverse, out)
        by_pod = np.flatnonzero(given >= 0)
        if len(by_pod):
            self._take_pods(by_pod, given[by_pod], is_v4[by_pod], out)
        return out

    def _look_up(
        self,
        family: int,
        rows: NDArray[np.intp] | slice,
        unique: NDArray[np.generic],
        inverse: NDArray[np.intp],
        out: Ends,
    ) -> None:
        found = [
            self._known.get(key) or End(address=key)
            for key in ((family, int.from_bytes(u, "big") if isinstance(u, bytes) else int(u)) for u in unique.tolist())
        ]
        columns = zip(
            *(
                (self.identity(e, family), -1 if e.pod is None else e.pod, -1 if e.node is None else e.node)
                for e in found
            ),
            strict=True,
        )
        for target, values in zip((out.identity, out.pod, out.node), columns, strict=True):
            target[rows] = np.asarray(values, np.int32)[inverse]

    def _take_pods(self, rows: NDArray[np.intp], pods: Ids, is_v4: Mask, out: Ends) -> None:
        of_pod = self._identities.of_pod
        out.identity[rows] = np.where(is_v4, of_pod[4][pods], of_pod[6][pods])
        out.pod[rows] = pods
        universe = self._universe
        out.node[rows] = np.where(universe.is_node[pods], universe.pod_node[pods], -1)
