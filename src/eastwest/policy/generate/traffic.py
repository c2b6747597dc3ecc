"""Evidence sorted by who it concerns: per workload and direction, the peers and ports that were really used.

Replies, unanswered attempts, own-node and own-address traffic never get here as permissions; what was left out is kept
for the report. `generate` turns the rest into rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from eastwest.model.cluster import ClusterState, Pod, Service
from eastwest.model.flow import Direction, EndKind, Protocol, protocol_name
from eastwest.policy.evidence import Evidence, Outsider
from eastwest.policy.generate.selectors import Group, Groups
from eastwest.policy.ports import PORT_PROTOCOLS, PortSet
from eastwest.policy.verify.intent import Intent, Kind

WITH_PORTS: Final = {Protocol.TCP: "TCP", Protocol.UDP: "UDP", Protocol.SCTP: "SCTP"}
DNS_PORTS: Final = (53, 5353)
MAX_DECLARED_PORTS: Final = 64

Port = tuple[str, int]
"""(protocol name, number)."""


@dataclass(slots=True)
class Tally:
    """What one permission rests on. `reason`: why it is there although (connections 0) nobody was seen to use it."""

    connections: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    reason: str | None = None
    dns: bool = False

    def add(self, connections: int, first_ns: int, last_ns: int) -> None:
        self.connections += connections
        self.first_ns = first_ns if self.first_ns is None else min(self.first_ns, first_ns)
        self.last_ns = last_ns if self.last_ns is None else max(self.last_ns, last_ns)

    def merge(self, other: Tally) -> None:
        if other.first_ns is not None and other.last_ns is not None:
            self.add(other.connections, other.first_ns, other.last_ns)
        self.reason = None if self.first_ns is not None else self.reason or other.reason


@dataclass(frozen=True, slots=True, order=True)
class NodePeer:
    """A node (or what runs on its network)."""

    name: str
    address: str


@dataclass(frozen=True, slots=True, order=True)
class AddressPeer:
    """An address outside the cluster."""

    address: str
    public: bool
    label: str
    domain: str = ""  # the name it was looked up by


PeerKey = Group | NodePeer | AddressPeer
Ports = dict[Port, Tally]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Traffic that makes no rule, and why."""

    reason: str
    src: str
    dst: str
    protocol: str
    port: int
    connections: int


@dataclass(slots=True)
class Traffic:
    """`used[group][direction][peer][port]`."""

    used: dict[Group, dict[Direction, dict[PeerKey, Ports]]] = field(
        default_factory=lambda: defaultdict(lambda: {d: defaultdict(dict) for d in Direction})
    )
    left_out: list[LeftOut] = field(default_factory=list)
    own_node: int = 0  # connections between a pod and its own node (probes), always allowed

    def add(self, group: Group, direction: Direction, peer: PeerKey, port: Port) -> Tally:
        return self.used[group][direction][peer].setdefault(port, Tally())


class Reader:
    """Walks the distinct rows of evidence once."""

    def __init__(self, cluster: ClusterState, evidence: Evidence, groups: Groups) -> None:
        self._cluster = cluster
        self._evidence = evidence
        self._groups = groups
        self._services = {(s.namespace, s.name): s for s in cluster.services}
        self.traffic = Traffic()

    def read(self) -> Traffic:
        e = self._evidence
        columns = (
            e.src.pod, e.src.outsider, e.dst.pod, e.dst.outsider, e.protocol, e.port, e.service_port, e.connections,
            e.established, e.directed, e.first_ns, e.last_ns,
        )  # fmt: skip
        for row in zip(*(column.tolist() for column in columns), strict=True):
            self._row(*row)
        self._complete_dns()
        return self.traffic

    def _row(
        self, src_pod: int, src_out: int, dst_pod: int, dst_out: int, protocol: int, port: int, service_port: int,
        connections: int, established: bool, directed: bool, first_ns: int, last_ns: int,
    ) -> None:  # fmt: skip
        src, dst = self.end(src_pod, src_out), self.end(dst_pod, dst_out)
        reason = self._refusal(src, dst, protocol, established, directed)
        if reason is not None:
            self._leave(reason, src, dst, protocol, port, connections)
            return
        if _own_node(src, dst) or _own_node(dst, src):
            self.traffic.own_node += connections
            return
        if isinstance(src, Pod) and src is dst and not src.host_network:
            return  # a pod always reaches itself
        dns = port in DNS_PORTS or service_port in DNS_PORTS
        for target, target_port in self._backends(dst, port, protocol):
            key = (WITH_PORTS[Protocol(protocol)], target_port)
            for direction, subject, peer in ((Direction.EGRESS, src, target), (Direction.INGRESS, target, src)):
                group = self.group(subject)
                if group is not None:
                    tally = self.traffic.add(group, direction, self.peer(peer), key)
                    tally.add(connections, first_ns, last_ns)
                    tally.dns = tally.dns or dns

    def _refusal(
        self, src: Pod | Outsider, dst: Pod | Outsider, protocol: int, established: bool, directed: bool
    ) -> str | None:
        if protocol not in WITH_PORTS:
            return "protocol without ports: NetworkPolicy cannot name it"
        if any(isinstance(end, Outsider) and end.ambiguous for end in (src, dst)):
            return "an address changed hands during the record"
        if not established:
            return "nobody answered"
        if not directed:
            return "it is not known who began"
        return None

    def _leave(
        self, reason: str, src: Pod | Outsider, dst: Pod | Outsider, protocol: int, port: int, connections: int
    ) -> None:
        one, other = (str(end.workload) if isinstance(end, Pod) else str(end) for end in (src, dst))
        self.traffic.left_out.append(LeftOut(reason, one, other, protocol_name(protocol), port, connections))

    def end(self, pod: int, outsider: int) -> Pod | Outsider:
        return self._cluster.pods[pod] if pod >= 0 else self._evidence.outsiders[outsider]

    def group(self, end: Pod | Outsider) -> Group | None:
        return self._groups.of[end.workload] if isinstance(end, Pod) and not end.host_network else None

    def peer(self, end: Pod | Outsider) -> PeerKey:
        if isinstance(end, Pod):
            if not end.host_network:
                return self._groups.of[end.workload]
            return NodePeer(end.node or "", end.ips[0] if end.ips else "")
        if end.kind is EndKind.NODE:
            return NodePeer(end.node or "", end.address)
        public = end.kind in (EndKind.INTERNET, EndKind.AWS)
        return AddressPeer(end.address, public, end.dns_name or end.aws_service or "", end.dns_name or "")

    def _backends(self, dst: Pod | Outsider, port: int, protocol: int) -> Iterator[tuple[Pod | Outsider, int]]:
        """The destination; for a Service address whose backend was not seen, everything behind the Service."""
        service = self._services.get(dst.service) if isinstance(dst, Outsider) and dst.service else None
        if service is None:
            yield dst, port
            return
        asked = next((p for p in service.ports if p.port == port and p.protocol == protocol_name(protocol)), None)
        target = (asked.target_port if asked else None) or port
        for pod in self._behind(service):
            number = target if isinstance(target, int) else _named(pod, target, protocol_name(protocol))
            if number is not None:
                yield pod, number
        if not service.selector and isinstance(target, int):
            for address in service.endpoint_ips:
                yield Outsider(EndKind.UNKNOWN, address), target

    def _behind(self, service: Service) -> Iterator[Pod]:
        for pod in self._cluster.pods if service.selector else ():
            if pod.namespace == service.namespace and service.selector.items() <= pod.labels.items():
                yield pod

    def declare(self, intent: Intent) -> None:
        """Permit what an intent says that workloads may reach; what was seen keeps its evidence."""
        if intent.kind is Kind.MUST_NOT:
            return
        ports = [] if intent.ports is None else list(_single_ports(intent.ports))
        if intent.src.addresses or intent.dst.addresses or not 0 < len(ports) <= MAX_DECLARED_PORTS:
            reason = f"declared, but only workloads and 1 to {MAX_DECLARED_PORTS} ports can be generated"
            self.traffic.left_out.append(LeftOut(reason, intent.src.text, intent.dst.text, "", 0, 0))
            return
        for src in {g for w, g in self._groups.of.items() if intent.src.holds(w)}:
            for dst in {g for w, g in self._groups.of.items() if intent.dst.holds(w)}:
                for port in ports:
                    for direction, subject, peer in ((Direction.EGRESS, src, dst), (Direction.INGRESS, dst, src)):
                        tally = self.traffic.add(subject, direction, peer, port)
                        if tally.first_ns is None:
                            tally.reason = "declared"

    def _complete_dns(self) -> None:
        """Resolvers answer long questions over TCP: where UDP was used for names, TCP is needed too."""
        for directions in self.traffic.used.values():
            for peers in directions.values():
                for ports in peers.values():
                    for (protocol, number), tally in list(ports.items()):
                        if protocol == "UDP" and tally.dns and ("TCP", number) not in ports:
                            ports["TCP", number] = Tally(reason="dns-tcp", dns=True)


def _single_ports(ports: PortSet) -> Iterator[Port]:
    for protocol, ranges in zip(PORT_PROTOCOLS, ports.slots, strict=True):
        for low, high in ranges:
            yield from ((protocol, number) for number in range(low, high + 1))


def _own_node(node: Pod | Outsider, pod: Pod | Outsider) -> bool:
    if not isinstance(pod, Pod) or pod.host_network or pod.node is None:
        return False
    if isinstance(node, Pod):
        return node.host_network and node.node == pod.node
    return node.kind is EndKind.NODE and node.node == pod.node


def _named(pod: Pod, name: str, protocol: str) -> int | None:
    return next((p.port for p in pod.ports if p.name == name and p.protocol == protocol), None)
