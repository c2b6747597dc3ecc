"""NetworkPolicy and ClusterNetworkPolicy read literally, one connection at a time: slow, short, and written apart from
the engine. It shares nothing with `eastwest.policy`; only the typed objects of `eastwest.model` are common.

Sources: networking.k8s.io/v1 NetworkPolicySpec, policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicySpec.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from eastwest.model.cluster import ClusterState, Pod
from eastwest.model.policy import LabelSelector

WITH_PORTS = {6: "TCP", 17: "UDP", 132: "SCTP"}


@dataclass(frozen=True)
class Choices:
    """What the specification leaves open, restated."""

    ip_block_matches_pods: bool = True
    host_network_is_node: bool = True
    self_allowed: bool = True
    deny_cluster: bool = False
    deny_namespaces: tuple[tuple[str, bool], ...] = ()
    deny_nodes: tuple[tuple[dict[str, str], bool], ...] = ()  # labels of the node


@dataclass(frozen=True)
class Place:
    """One end: a pod (with the address used, if it has one) or an address outside all pods."""

    pod: Pod | None = None
    ip: str | None = None
    family: int = 4


def allowed(cluster: ClusterState, choices: Choices, src: Place, dst: Place, protocol: int, port: int) -> bool:
    """Both sides must allow, unless the pair is never subject to policy."""
    if src.pod is not None and src.pod is dst.pod and choices.self_allowed:
        return True
    for one, other in ((src, dst), (dst, src)):
        node = node_of(cluster, choices, one)
        if node is not None and node_of(cluster, choices, other) is None and other.pod and other.pod.node == node:
            return True
    return side(cluster, choices, "egress", src, dst, dst, protocol, port) and side(
        cluster, choices, "ingress", dst, src, dst, protocol, port
    )


def node_of(cluster: ClusterState, choices: Choices, place: Place) -> str | None:
    """The node that this end *is*, if it is one."""
    if place.pod is not None:
        return place.pod.node if place.pod.host_network and choices.host_network_is_node else None
    for node in cluster.nodes:
        if place.ip in node.ips:
            return node.name
    return None


def side(cluster, choices, direction, me: Place, peer: Place, dst: Place, protocol: int, port: int) -> bool:  # type: ignore[no-untyped-def]
    """One direction for one pod: Admin tier, NetworkPolicies, Baseline tier, and allowed if nobody spoke."""
    if me.pod is None or (me.pod.host_network and choices.host_network_is_node):
        return True
    # A host-network pod is its node, and a node has no named ports.
    at = Place(family=dst.family) if dst.pod and dst.pod.host_network and choices.host_network_is_node else dst
    answer = tier(cluster, "Admin", direction, me.pod, peer, at, protocol, port)
    if answer is not None:
        return answer
    isolated = False
    for policy in cluster.network_policies:
        if policy.namespace != me.pod.namespace or not selects(policy.pod_selector, me.pod.labels):
            continue
        if direction.capitalize() not in policy.policy_types:
            continue
        isolated = True
        for rule in policy.ingress if direction == "ingress" else policy.egress:
            if rule.peers is not None and not all(
                any(np_peer(cluster, choices, policy.namespace, p, end) for p in rule.peers)
                for end in possible(peer, rule.peers)
            ):
                continue
            if rule.ports is None or any(np_port(p, at, protocol, port) for p in rule.ports):
                return True
    if isolated:
        return False
    answer = tier(cluster, "Baseline", direction, me.pod, peer, at, protocol, port)
    return not posture_denies(cluster, choices, me.pod) if answer is None else answer


def posture_denies(cluster: ClusterState, choices: Choices, me: Pod) -> bool:
    """The namespace's word, else that of the node's groups (one deny is enough), else the cluster's."""
    for name, denies in choices.deny_namespaces:
        if name == me.namespace:
            return denies
    has = next((dict(n.labels) for n in cluster.nodes if n.name == me.node), {})
    groups = [denies for wanted, denies in choices.deny_nodes if me.node and wanted.items() <= has.items()]
    return any(groups) if groups else choices.deny_cluster


def tier(cluster, name, direction, me: Pod, peer: Place, dst: Place, protocol: int, port: int) -> bool | None:  # type: ignore[no-untyped-def]
    """None = nothing matched, or a Pass did."""
    for policy in sorted(cluster.cluster_network_policies, key=lambda p: (p.priority, p.name)):
        if policy.tier != name or me.host_network:
            continue
        namespaces, pods = policy.subject_pods or (policy.subject_namespaces, LabelSelector())
        if not (selects(namespaces, ns_labels(cluster, me.namespace)) and selects(pods, me.labels)):
            continue
        for rule in policy.ingress if direction == "ingress" else policy.egress:
            if any(p.unknown is not None for p in rule.peers):  # fail closed
                if rule.action == "Accept":
                    continue
                return False
            if not all(any(cnp_peer(cluster, p, end) for p in rule.peers) for end in possible(peer, rule.peers)):
                continue
            if rule.ports is not None and not any(cnp_port(p, dst, protocol, port) for p in rule.ports):
                continue
            return {"Accept": True, "Deny": False, "Pass": None}[rule.action]
    return None


def np_peer(cluster: ClusterState, choices: Choices, namespace: str, peer, end: Place) -> bool:  # type: ignore[no-untyped-def]
    if peer.ip_block is not None:
        is_pod = end.pod is not None and not (end.pod.host_network and choices.host_network_is_node)
        if is_pod and not choices.ip_block_matches_pods:
            return False
        return in_cidr(peer.ip_block.cidr, end) and not any(in_cidr(c, end) for c in peer.ip_block.except_)
    if end.pod is None or (end.pod.host_network and choices.host_network_is_node):
        return False
    if peer.namespace_selector is None:
        if end.pod.namespace != namespace:
            return False
    elif not selects(peer.namespace_selector, ns_labels(cluster, end.pod.namespace)):
        return False
    return peer.pod_selector is None or selects(peer.pod_selector, end.pod.labels)


def cnp_peer(cluster: ClusterState, peer, end: Place) -> bool:  # type: ignore[no-untyped-def]
    if peer.networks is not None:
        return any(in_cidr(c, end) for c in peer.networks)
    if peer.nodes is not None:
        ip = address_of(end)
        return any(ip in n.ips and selects(peer.nodes, n.labels) for n in cluster.nodes)
    if peer.domain_names is not None or end.pod is None or end.pod.host_network:
        return False
    namespaces, pods = peer.pods or (peer.namespaces, LabelSelector())
    return selects(namespaces, ns_labels(cluster, end.pod.namespace)) and selects(pods, end.pod.labels)


def np_port(entry, dst: Place, protocol: int, port: int) -> bool:  # type: ignore[no-untyped-def]
    if WITH_PORTS.get(protocol) != entry.protocol:
        return False
    if entry.port is None:
        return True
    if isinstance(entry.port, str):
        return (entry.port, entry.protocol, port) in named(dst)
    if entry.end_port is not None:
        return entry.port <= port <= entry.end_port
    return entry.port == port


def cnp_port(entry, dst: Place, protocol: int, port: int) -> bool:  # type: ignore[no-untyped-def]
    word = WITH_PORTS.get(protocol)
    if entry.named is not None:
        return any(n == entry.named and p == word and number == port for n, p, number in named(dst))
    if word is None or word != entry.protocol:
        return False
    return entry.start is None or entry.start <= port <= (entry.start if entry.end is None else entry.end)


def named(dst: Place) -> list[tuple[str | None, str, int]]:
    if dst.pod is None:
        return []
    return [(p.name, p.protocol, p.port) for p in dst.pod.ports]


def in_cidr(cidr: str, end: Place) -> bool:
    ip = address_of(end)
    assert ip is not None
    return ipaddress.ip_address(ip) in ipaddress.ip_network(cidr)


def possible(end: Place, peers) -> list[Place]:  # type: ignore[no-untyped-def]
    """The end itself; with an unknown address, one end per address at which the rule's CIDRs could answer otherwise.

    A rule holds for an unknown address only where it holds for every possible one.
    """
    if address_of(end) is not None:
        return [end]
    cidrs = [c for p in peers if getattr(p, "ip_block", None) for c in (p.ip_block.cidr, *p.ip_block.except_)]
    cidrs += [c for p in peers for c in getattr(p, "networks", None) or ()]
    out = {"192.0.2.99" if end.family == 4 else "2001:db8:ffff::99"}
    for network in map(ipaddress.ip_network, cidrs):
        if network.version == end.family:
            edges = (int(network[0]), int(network[-1]), int(network[0]) - 1, int(network[-1]) + 1)
            address = type(network[0])
            out |= {str(address(n)) for n in edges if 0 <= n < 2**network.max_prefixlen}
    return [Place(end.pod, ip, end.family) for ip in out]


def address_of(end: Place) -> str | None:
    if end.ip is not None:
        return end.ip
    assert end.pod is not None
    return next((ip for ip in end.pod.ips if ipaddress.ip_address(ip).version == end.family), None)


def ns_labels(cluster: ClusterState, name: str) -> dict[str, str]:
    for namespace in cluster.namespaces:
        if namespace.name == name:
            return dict(namespace.labels)
    return {"kubernetes.io/metadata.name": name}


def selects(selector: LabelSelector, labels) -> bool:  # type: ignore[no-untyped-def]
    for key, value in selector.match_labels:
        if key not in labels or labels[key] != value:
            return False
    for e in selector.match_expressions:
        has = key_in = e.key in labels
        inside = key_in and labels[e.key] in e.values
        if {"In": not inside, "NotIn": inside, "Exists": not has, "DoesNotExist": has}[e.operator]:
            return False
    return True
