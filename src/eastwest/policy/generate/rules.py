"""Peers and ports of one workload and direction to NetworkPolicy rules, in a fixed order, each with its evidence."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from eastwest.model.cluster import ClusterState
from eastwest.model.flow import Direction
from eastwest.model.policy import IpBlock, LabelSelector, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicyRule
from eastwest.policy.evidence import instant
from eastwest.policy.generate.cidrs import blocks
from eastwest.policy.generate.selectors import Group
from eastwest.policy.generate.traffic import AddressPeer, NodePeer, PeerKey, Port, Ports, Tally

NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"
EVERYWHERE: Final = {4: "0.0.0.0/0", 6: "::/0"}
CIDR_WIDENING: Final = "cidr-widening"
PeerKind = Literal["pods", "nodes", "world", "addresses"]


@dataclass(frozen=True, slots=True)
class Beyond:
    """A permission that nobody was seen to use, with its reason from the closed list and its extent."""

    reason: str  # dns-tcp, cidr-widening, probe, declared
    permission: str
    extra_addresses: int = 0


@dataclass(frozen=True, slots=True)
class GeneratedRule:
    """A rule and what it rests on."""

    direction: Direction
    rule: NetworkPolicyRule
    peer: str
    ports: tuple[Port, ...]
    connections: int
    first_ns: int | None
    last_ns: int | None
    beyond: tuple[Beyond, ...] = ()
    kind: PeerKind = "pods"
    domains: tuple[str, ...] = ()  # names of all its addresses, where each was looked up by one

    def line(self) -> str:
        """`egress to carts/carts[Deployment] TCP 8080: 120 connections, first …, last …`."""
        word = "to" if self.direction is Direction.EGRESS else "from"
        seen = "not seen"
        if self.first_ns is not None and self.last_ns is not None:
            count = f"{self.connections} connections" if self.connections else "connections opened earlier"
            seen = f"{count}, first {instant(self.first_ns)}, last {instant(self.last_ns)}"
        notes = "".join(f"; beyond what was seen: {b.permission} ({b.reason})" for b in self.beyond)
        return f"{self.direction} {word} {self.peer} {spell_ports(self.ports)}: {seen}{notes}"


def spell_ports(ports: Iterable[Port]) -> str:
    """`TCP 80, 443; UDP 53`."""
    by_protocol: defaultdict[str, list[int]] = defaultdict(list)
    for protocol, number in sorted(ports):
        by_protocol[protocol].append(number)
    return "; ".join(f"{protocol} {', '.join(map(str, numbers))}" for protocol, numbers in by_protocol.items())


class RuleMaker:
    """Makes the rules of one cluster. `max_cidrs` bounds the CIDRs of a rule per family."""

    def __init__(self, cluster: ClusterState, max_cidrs: int) -> None:
        self._nodes = sorted({ip for node in cluster.nodes for ip in _first_of_each_family(node.ips)})
        self._pod_cidrs = sorted({c for node in cluster.nodes for c in node.pod_cidrs})
        self._max_cidrs = max_cidrs
        self._exposed = _exposed(cluster)

    def rules(self, group: Group, direction: Direction, peers: Mapping[PeerKey, Ports]) -> list[GeneratedRule]:
        """Workloads first (by namespace and name), then nodes, then addresses."""
        groups = sorted((p for p in peers if isinstance(p, Group)), key=lambda g: (g.namespace, g.workloads))
        out = [self._rule(direction, (_pods(group, p),), str(p), peers[p]) for p in groups]
        open_ports = self._open(group, peers) if direction is Direction.INGRESS else {}
        found = {peer: ports for peer, ports in peers.items() if isinstance(peer, NodePeer)}
        nodes = _merged(
            {port: tally for port, tally in ports.items() if not self._covered(peer.address, open_ports.get(port, {}))}
            for peer, ports in found.items()
        )
        if nodes:
            out.append(self._node_rule(direction, nodes, {peer.address for peer in found}))
        out += self._everywhere(direction, open_ports)
        out += self._address_rules(direction, peers, open_ports)
        return out

    def _rule(
        self,
        direction: Direction,
        to: tuple[NetworkPolicyPeer, ...],
        peer: str,
        ports: Ports,
        more: tuple[Beyond, ...] = (),
    ) -> GeneratedRule:
        """One rule; ports that only have a reason are named in `beyond`."""
        total = Tally()
        for tally in ports.values():
            total.merge(tally)
        beyond = [
            Beyond(tally.reason, f"{protocol} {number}")
            for (protocol, number), tally in sorted(ports.items())
            if tally.reason
        ]
        made = NetworkPolicyRule(to, tuple(NetworkPolicyPort(protocol, number) for protocol, number in sorted(ports)))
        return GeneratedRule(
            direction,
            made,
            peer,
            tuple(sorted(ports)),
            total.connections,
            total.first_ns,
            total.last_ns,
            (*beyond, *more),
        )

    def _node_rule(self, direction: Direction, ports: Ports, seen: set[str]) -> GeneratedRule:
        """All nodes by their own address: they stand in for one another (load balancers, host-network pods); and what
        else of them was seen (a bridge)."""
        found = blocks({*self._nodes, *seen} - {""}, self._max_cidrs, self._pod_cidrs)
        extra = sum(b.extra for b in found) + len({*self._nodes} - seen)
        more = (Beyond(CIDR_WIDENING, f"all nodes, {extra} addresses not seen", extra),) if extra else ()
        peers = tuple(NetworkPolicyPeer(ip_block=IpBlock(str(b))) for b in found)
        return replace(self._rule(direction, peers, "nodes", ports, more), kind="nodes")

    def _open(self, group: Group, peers: Mapping[PeerKey, Ports]) -> dict[Port, dict[int, Tally]]:
        """Ports of a Service exposed to the outside that public clients really used, by family: open to everyone."""
        out: dict[Port, dict[int, Tally]] = {}
        for peer, ports in peers.items():
            if isinstance(peer, AddressPeer) and peer.public:
                family = ipaddress.ip_address(peer.address).version
                for port, tally in ports.items():
                    if any(port in self._exposed.get(w, ()) for w in group.workloads):
                        out.setdefault(port, {}).setdefault(family, Tally()).merge(tally)
        return out

    def _everywhere(self, direction: Direction, open_ports: Mapping[Port, dict[int, Tally]]) -> list[GeneratedRule]:
        by_families: defaultdict[tuple[int, ...], Ports] = defaultdict(dict)
        for port, families in open_ports.items():
            total = Tally()
            for tally in families.values():
                total.merge(tally)
            by_families[tuple(sorted(families))][port] = total
        out = []
        for chosen, ports in sorted(by_families.items()):
            peers = tuple(NetworkPolicyPeer(ip_block=self._all_but_pods(family)) for family in chosen)
            more = (Beyond(CIDR_WIDENING, "every address but the pods', because a Service exposes it"),)
            out.append(replace(self._rule(direction, peers, "the outside", ports, more), kind="world"))
        return out

    def _covered(self, address: str, families: Mapping[int, Tally]) -> bool:
        """Whether a port that is open to the outside is open to this address: not to another family, not to pods."""
        if not address or not families:
            return False
        ip = ipaddress.ip_address(address)
        return ip.version in families and not any(ip in ipaddress.ip_network(c) for c in self._pod_cidrs)

    def _all_but_pods(self, family: int) -> IpBlock:
        inside = [ipaddress.ip_network(c) for c in self._pod_cidrs]
        mine4 = [n for n in inside if isinstance(n, ipaddress.IPv4Network)] if family == 4 else []
        mine6 = [n for n in inside if isinstance(n, ipaddress.IPv6Network)] if family == 6 else []
        texts = [str(n) for n in (*ipaddress.collapse_addresses(mine4), *ipaddress.collapse_addresses(mine6))]
        return IpBlock(EVERYWHERE[family], tuple(texts))

    def _address_rules(
        self, direction: Direction, peers: Mapping[PeerKey, Ports], open_ports: Mapping[Port, dict[int, Tally]]
    ) -> list[GeneratedRule]:
        """Addresses by port, bounded; ports with the same CIDRs share a rule."""
        by_port: defaultdict[Port, dict[AddressPeer, Tally]] = defaultdict(dict)
        for peer, ports in peers.items():
            if isinstance(peer, AddressPeer):
                for port, tally in ports.items():
                    if not self._covered(peer.address, open_ports.get(port, {})):
                        by_port[port][peer] = tally
        shared: defaultdict[tuple[tuple[str, ...], int], list[Port]] = defaultdict(list)
        for port, seen in sorted(by_port.items()):
            found = blocks({p.address for p in seen}, self._max_cidrs, self._pod_cidrs)
            shared[tuple(map(str, found)), sum(b.extra for b in found)].append(port)
        out = []
        for (cidrs, extra), shared_ports in sorted(shared.items()):
            ports = {port: _total(by_port[port].values()) for port in shared_ports}
            labels = sorted({p.label for port in shared_ports for p in by_port[port] if p.label})
            name = ", ".join(cidrs) + (f" ({', '.join(labels)})" if labels else "")
            more = (Beyond(CIDR_WIDENING, f"{extra} addresses not seen", extra),) if extra else ()
            to = tuple(NetworkPolicyPeer(ip_block=IpBlock(c)) for c in cidrs)
            domains = {p.domain for port in shared_ports for p in by_port[port]}
            known = () if "" in domains else tuple(sorted(domains))
            out.append(replace(self._rule(direction, to, name, ports, more), kind="addresses", domains=known))
        return out


def _pods(subject: Group, peer: Group) -> NetworkPolicyPeer:
    if subject.namespace == peer.namespace:
        return NetworkPolicyPeer(pod_selector=peer.selector)
    return NetworkPolicyPeer(peer.selector, LabelSelector(((NAMESPACE_LABEL, peer.namespace),)))


def _first_of_each_family(ips: Iterable[str]) -> list[str]:
    firsts: dict[bool, str] = {}
    for ip in ips:
        firsts.setdefault(":" in ip, ip)
    return list(firsts.values())


def _total(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.merge(tally)
        total.reason = total.reason or (tally.reason if total.first_ns is None else None)
    return total


def _merged(many: Iterable[Ports]) -> Ports:
    out: Ports = {}
    for ports in many:
        for port, tally in ports.items():
            out.setdefault(port, Tally(reason=tally.reason)).merge(tally)
    return out


def _exposed(cluster: ClusterState) -> dict[object, set[Port]]:
    """Ports that each workload serves behind a LoadBalancer, NodePort or external address."""
    out: defaultdict[object, set[Port]] = defaultdict(set)
    for service in cluster.services:
        if not service.selector or not (service.type in ("LoadBalancer", "NodePort") or service.load_balancer_ips):
            continue
        for pod in cluster.pods:
            if pod.namespace != service.namespace or not service.selector.items() <= pod.labels.items():
                continue
            for port in service.ports:
                target = port.target_port or port.port
                if isinstance(target, int):
                    out[pod.workload].add((port.protocol, target))
                    continue
                named = {(p.protocol, p.port) for p in pod.ports if p.name == target and p.protocol == port.protocol}
                out[pod.workload] |= named
    return dict(out)
