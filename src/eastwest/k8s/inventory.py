"""The cluster over time: events in, who held an address when, and the whole cluster at any moment out.

`Source`s feed it; the collector asks `naming()` for whole columns, the API and the bundle ask `state_at` and `versions`.
Safe for several threads: `_lock` guards everything mutable, and what is handed out is immutable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eastwest.k8s.fields import Reader
from eastwest.k8s.history import History, Version
from eastwest.k8s.ipindex import AMBIGUOUS, FOREVER, NOBODY, Claim, Ints, IpIndex
from eastwest.k8s.manifests import Known, Problem, parse
from eastwest.k8s.raw import RawObject
from eastwest.k8s.services import NODE_ADDRESSES, node, service
from eastwest.k8s.sources import Event, EventType, Identity, Source, identity
from eastwest.k8s.workloads import TEMPLATES, TERMINATED, Owners, owner, pod
from eastwest.model.cluster import ClusterState, Node, Pod, Service
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


@dataclass(frozen=True, slots=True)
class Present:
    """The cluster as last heard of. problems: what of it could not be read. latest_ns: the newest event of any kind, also
    one that changed nothing that is read."""

    state: ClusterState
    problems: tuple[Problem, ...]
    revision: int
    latest_ns: int


class Inventory:
    """Everything the sources reported, as intervals."""

    def __init__(self, sources: Iterable[Source] = ()) -> None:
        self._sources = tuple(sources)
        self._lock = threading.RLock()
        self._histories: dict[Identity, History] = {}
        self._revision = 0
        self._latest_ns = 0
        self._node_addresses: dict[str, tuple[str, ...]] = {}
        self._naming: Naming | None = None
        self._state: tuple[tuple[int, int], ClusterState] | None = None
        self._known = Known()

    @property
    def problems(self) -> list[Problem]:
        """What the sources could not read."""
        return [problem for source in self._sources for problem in source.problems]

    @property
    def revision(self) -> int:
        """Grows whenever anything changed."""
        return self._revision

    @property
    def latest_ns(self) -> int:
        """When the newest event happened, by the cluster's clock."""
        return self._latest_ns

    def files(self) -> list[Path]:
        """Files that change when a source has something new."""
        return [path for source in self._sources for path in source.files()]

    def present(self) -> Present:
        """What was heard last, whatever the clocks say. Objects that did not change are not read again."""
        with self._lock:
            raws = [self._whole(h.versions[-1]) for h in self._histories.values() if _stands(h)]
            state, problems = parse(raws, self._known)
            return Present(state, tuple(problems), self._revision, self._latest_ns)

    def poll(self) -> int:
        """Ask every source; the number of events that changed something."""
        return sum(self.fold(source.poll()) for source in self._sources)

    def fold(self, events: Iterable[Event]) -> int:
        """Take events in; the number of those that changed something."""
        changed = 0
        with self._lock:
            for event in events:
                history = self._histories.setdefault(identity(event.object), History())
                changed += history.add(event)
                self._latest_ns = max(self._latest_ns, event.at_ns)
            if changed:
                self._revision += 1
                self._naming = self._state = None
        return changed

    def learn_node_addresses(self, node: str, addresses: Sequence[str]) -> None:
        """What a node's agent says its own interfaces hold. The addresses become part of the Node object."""
        with self._lock:
            if self._node_addresses.get(node, ()) == tuple(addresses):
                return
            self._node_addresses[node] = tuple(addresses)
            for history in (h for (kind, *_), h in self._histories.items() if kind == "Node"):
                for version in history.versions:
                    version.parsed = None
            self._revision += 1
            self._naming = self._state = None

    def _tellers(self, address: str) -> int:
        """How many nodes say an address is theirs. Bridges often carry the same one everywhere: it names nobody."""
        return sum(address in told for told in self._node_addresses.values())

    def _whole(self, version: Version) -> RawObject:
        """An object as it stands, a Node with the addresses that its agent told."""
        raw = version.raw
        told = self._node_addresses.get(raw.name) if raw.kind == "Node" else None
        told = tuple(t for t in told or () if self._tellers(t) == 1)
        if not told:
            return raw
        metadata = dict(raw.metadata)
        metadata["annotations"] = {**(metadata.get("annotations") or {}), NODE_ADDRESSES: " ".join(told)}
        return replace(raw, body={**raw.body, "metadata": metadata})

    def forget(self, before_ns: int) -> None:
        """Drop every version that ended before a moment (the store's retention)."""
        with self._lock:
            for key, history in list(self._histories.items()):
                history.forget(before_ns)
                if not history.versions:
                    del self._histories[key]
            self._revision += 1
            self._naming = self._state = None

    def versions(self, start_ns: int, end_ns: int) -> list[Version]:
        """Every version that was in force at any moment of [start_ns, end_ns), in a stable order."""
        with self._lock:
            found = [
                (key, v) for key, h in self._histories.items() for v in h.versions if v.valid_within(start_ns, end_ns)
            ]
        return [replace(v, raw=self._whole(v)) for _, v in sorted(found, key=lambda item: (item[0], item[1].from_ns))]

    def pod_lives(self, start_ns: int, end_ns: int) -> dict[str, list[tuple[int, int]]]:
        """Of each pod's UID the intervals in which it was there, cut to [start_ns, end_ns)."""
        lives: dict[str, list[tuple[int, int]]] = {}
        for version in self.versions(start_ns, end_ns):
            if version.raw.kind == "Pod":
                interval = (max(version.from_ns, start_ns), min(version.to_ns, end_ns))
                lives.setdefault(str(version.raw.metadata.get("uid")), []).append(interval)
        return lives

    def state_at(self, at_ns: int) -> ClusterState:
        """The whole cluster at one moment."""
        with self._lock:
            key = (self._revision, min(at_ns, self._latest_ns))
            if self._state is None or self._state[0] != key:
                raws = [self._whole(v) for h in self._histories.values() for v in h.versions if v.valid_at(at_ns)]
                self._state = (key, parse(raws)[0])
            return self._state[1]

    def state_within(self, start_ns: int, end_ns: int) -> ClusterState:
        """Everything that was there at any moment of [start_ns, end_ns): of each object its last version in force, of
        each pod its last one that was not terminated. What evidence of a window is judged against."""
        raws = []
        with self._lock:
            for (kind, *_), history in self._histories.items():
                found = [v for v in history.versions if v.valid_within(start_ns, end_ns)]
                if kind == "Pod":
                    found = [v for v in found if _phase(v) not in TERMINATED]
                if found:
                    raws.append(self._whole(found[-1]))
        return parse(raws)[0]

    def naming(self) -> Naming:
        """The present answer book; made anew only after a change."""
        with self._lock:
            if self._naming is None:
                told = {n: frozenset(map(ip_bytes, a)) for n, a in self._node_addresses.items()}
                self._naming = replace(_Builder(self._histories, self._whole).build(), own_addresses=told)
            return self._naming

    def resolve(self, ips: NDArray[np.uint8], first_ns: Ints, last_ns: Ints) -> Ints:
        """`Naming.resolve` of the present answer book."""
        return self.naming().resolve(ips, first_ns, last_ns)


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


def _stands(history: History) -> bool:
    """Whether the object exists, as far as was heard."""
    return bool(history.versions) and history.versions[-1].to_ns == FOREVER


def _phase(version: Version) -> object:
    status = version.raw.body.get("status")
    return status.get("phase") if isinstance(status, dict) else None


def _shared_addresses(claims: Iterable[Claim]) -> set[bytes]:
    """Addresses that several Services share, where only the port tells them apart."""
    first: dict[bytes, int] = {}
    return {claim.ip for claim in claims if first.setdefault(claim.ip, claim.owner) != claim.owner}


__all__ = ["AMBIGUOUS", "NOBODY", "End", "Event", "EventType", "HostPod", "Inventory", "Naming"]
