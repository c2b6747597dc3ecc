"""Who an address, a pod's UID or a Service's port belonged to, as of a moment: an answer book made of intervals.

`naming_of` makes it in one pass over all versions; what it answers is columns, a flow a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eastwest.k8s.fields import Reader
from eastwest.k8s.history import History, Version
from eastwest.k8s.ipindex import NOBODY, Claim, Ints, IpIndex
from eastwest.k8s.raw import RawObject
from eastwest.k8s.services import node, service
from eastwest.k8s.sources import Identity
from eastwest.k8s.workloads import TEMPLATES, TERMINATED, Owners, owner, pod
from eastwest.model.cluster import Node, Pod, Service
from eastwest.model.flow import EndKind, ip_bytes, protocol_number


@dataclass(frozen=True, slots=True)
class End:
    """What one end of a flow turned out to be; fields as the columns src_* and dst_*."""

    kind: EndKind
    namespace: str | None = None
    workload: str | None = None
    workload_kind: str | None = None
    pod: str | None = None
    node: str | None = None
    zone: str | None = None
    region: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class HostPod:
    """A host-network pod within [from_ns, to_ns): which end it is, and the ports it declares (IP protocol, number)."""

    end: int
    uid: str
    node: str
    ports: frozenset[tuple[int, int]]
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Naming:
    """An immutable answer book: addresses and pod UIDs to `ends`."""

    ends: Sequence[End]
    pods_by_uid: Mapping[str, int]
    nodes_by_name: Mapping[str, int]
    _owners: IpIndex
    _services: IpIndex
    host_pods: Sequence[HostPod] = ()
    own_addresses: Mapping[str, frozenset[bytes]] = field(default_factory=dict)
    """Node -> the 16 bytes of each address that its agent told; other nodes may have the same."""

    def resolve(self, ips: NDArray[np.uint8], first_ns: Ints, last_ns: Ints) -> Ints:
        """(n, 16) addresses over [first_ns, last_ns] to indices into `ends`; NOBODY (-1) or AMBIGUOUS (-2)."""
        return self._owners.resolve(ips, first_ns, last_ns)

    def resolve_service(self, ips: NDArray[np.uint8], ports: NDArray[np.uint16], first_ns: Ints, last_ns: Ints) -> Ints:
        """The Service behind (address, port); an unknown port of an address that one Service holds is that Service."""
        exact = self._services.resolve(ips, first_ns, last_ns, ports)
        rest = np.flatnonzero(exact == NOBODY)
        exact[rest] = self._services.resolve(ips[rest], first_ns[rest], last_ns[rest])
        return exact


def naming_of(
    histories: Mapping[Identity, History], whole: Callable[[Version], RawObject], told: Mapping[str, Sequence[str]]
) -> Naming:
    """The answer book of all `histories`. `whole` gives an object as it stands, `told` the addresses that each node's
    agent says are its own."""
    own = {node: frozenset(map(ip_bytes, addresses)) for node, addresses in told.items()}
    return replace(_Builder(histories, whole).build(), own_addresses=own)


_PARSERS: Final = {"Pod": pod, "Node": node, "Service": service, **dict.fromkeys(TEMPLATES, owner)}


class _Builder:
    """One pass over all versions. Terminated and host-network pods hold no address of their own."""

    def __init__(self, histories: Mapping[Identity, History], whole: Callable[[Version], RawObject]) -> None:
        self._histories = histories
        self._whole = whole
        self._ends: list[End] = []
        self._claims: list[Claim] = []
        self._service_claims: list[Claim] = []
        self._host_pods: list[HostPod] = []
        self._owners = Owners(v.parsed for v in self._latest(*TEMPLATES))

    def build(self) -> Naming:
        nodes = {v.parsed.name: v.parsed for v in self._latest("Node")}
        nodes_by_name = {name: self._node(found) for name, found in nodes.items()}
        pods_by_uid: dict[str, int] = {}
        for versions in self._all("Pod"):
            self._pod(versions, nodes, pods_by_uid)
        for versions in self._all("Service"):
            self._service(versions)
        shared = _shared_addresses(self._service_claims)
        claims = [c for c in self._service_claims if c.port or c.ip not in shared]
        return Naming(
            tuple(self._ends),
            pods_by_uid,
            nodes_by_name,
            IpIndex(self._claims),
            IpIndex(claims),
            tuple(self._host_pods),
        )

    def _all(self, *kinds: str) -> Iterator[list[Version]]:
        """The versions of each object, parsed."""
        for (kind, *_), history in self._histories.items():
            if kind in kinds and history.versions:
                for version in history.versions:
                    if version.parsed is None:
                        version.parsed = _PARSERS[kind](Reader(self._whole(version), []))
                yield history.versions

    def _latest(self, *kinds: str) -> Iterator[Version]:
        return (versions[-1] for versions in self._all(*kinds))

    def _node(self, found: Node) -> int:
        at = len(self._ends)
        self._ends.append(End(EndKind.NODE, node=found.name, zone=found.zone, region=found.region))
        for version in self._histories["Node", "", found.name, ""].versions:
            self._claim(version.parsed.ips, version, at)
        return at

    def _pod(self, versions: list[Version], nodes: Mapping[str, Node], by_uid: dict[str, int]) -> None:
        latest: Pod = versions[-1].parsed
        workload, _ = self._owners.top(latest.workload, latest.labels)
        place = next((v.parsed.node for v in reversed(versions) if v.parsed.node), None)
        home = nodes.get(place) if place else None
        at = len(self._ends)
        self._ends.append(
            End(
                EndKind.POD, latest.namespace, workload.name, workload.kind, latest.name, place,
                home.zone if home else None, home.region if home else None,
            )
        )  # fmt: skip
        if latest.uid:
            by_uid[latest.uid] = at
            if latest.host_network and place:
                self._host_pods.append(_host_pod(at, latest.uid, place, versions))
        for version in versions:
            if not version.parsed.host_network:
                self._claim(version.parsed.ips, version, at)

    def _service(self, versions: list[Version]) -> None:
        latest: Service = versions[-1].parsed
        at = len(self._ends)
        self._ends.append(End(EndKind.SERVICE, latest.namespace, service=latest.name))
        for version in versions:
            found: Service = version.parsed
            for text in dict.fromkeys((*found.cluster_ips, *found.load_balancer_ips)):
                whole = Claim(ip_bytes(text), version.from_ns, version.to_ns, at)
                self._service_claims.append(whole)
                for port in {p.port for p in found.ports}:
                    self._service_claims.append(replace(whole, port=port))

    def _claim(self, ips: Iterable[str], version: Version, owner_index: int) -> None:
        for text in ips:
            self._claims.append(Claim(ip_bytes(text), version.from_ns, version.to_ns, owner_index))


def _host_pod(end: int, uid: str, node: str, versions: list[Version]) -> HostPod:
    """From its first version to its end, or to when all of its containers had ended."""
    over = next((v.from_ns for v in versions if v.parsed.phase in TERMINATED), versions[-1].to_ns)
    ports = {(protocol_number(p.protocol), p.port) for v in versions for p in v.parsed.ports}
    return HostPod(end, uid, node, frozenset(ports), versions[0].from_ns, over)


def _shared_addresses(claims: Iterable[Claim]) -> set[bytes]:
    """Addresses that several Services share, where only the port tells them apart."""
    first: dict[bytes, int] = {}
    return {claim.ip for claim in claims if first.setdefault(claim.ip, claim.owner) != claim.owner}
