"""Lint of peers: selectors and blocks that match nothing, or that can never match what their author saw."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from eastwest.model.flow import Direction
from eastwest.model.policy import ClusterPolicyPeer, LabelSelector, NetworkPolicy, NetworkPolicyPeer
from eastwest.policy import wording
from eastwest.policy.engine import Engine
from eastwest.policy.lint.findings import Finding, Path, on_cluster_policy, on_policy, rules_of
from eastwest.policy.lint.subjects import suggest
from eastwest.policy.services import service_at
from eastwest.policy.universe import NAMESPACE_NAME


def check(engine: Engine) -> Iterator[Finding]:
    """peer-matches-nothing, rule-matches-nothing, host-network-peer, service-address, pod-address, domain-undecided."""
    for policy in engine.universe.cluster.network_policies:
        for direction, _, rule, path in rules_of(policy):
            peers = rule.peers or ()
            ends: Path = (*path, "from" if direction is Direction.INGRESS else "to")
            found = [list(_peer(engine, policy, p, (*ends, i))) for i, p in enumerate(peers)]
            empty = [f for fs in found for f in fs if f.code == "peer-matches-nothing"]
            if peers and len(empty) == len(peers):
                yield on_policy(
                    policy,
                    "rule-matches-nothing",
                    f"{direction} rule {path[-1]} matches nobody: {'; '.join(f.message for f in empty)}",
                    empty[0].fix,
                    path,
                )
            yield from (f for fs in found for f in fs if f not in empty or len(empty) < len(peers))
    yield from _cluster_peers(engine)


def _peer(engine: Engine, policy: NetworkPolicy, peer: NetworkPolicyPeer, path: Path) -> Iterator[Finding]:
    if peer.ip_block is not None:
        yield from _block(engine, policy, peer.ip_block.cidr, path)
        return
    universe = engine.universe
    if universe.select(policy.namespace, peer.namespace_selector, peer.pod_selector, False).any():
        return
    what = wording.peer(peer, policy.namespace)
    hosts = [
        p
        for i, p in enumerate(universe.pods)
        if universe.is_node[i] and (peer.pod_selector is None or peer.pod_selector.matches(p.labels))
    ]
    if hosts and peer.pod_selector is not None and peer.pod_selector != LabelSelector():
        message = f"{what}: only host-network pods match ({hosts[0].namespace}/{hosts[0].name}), which have their node's address"
        yield on_policy(policy, "host-network-peer", message, "allow the nodes' addresses with an ipBlock", path)
        return
    fix = _namespace_fix(engine, peer.namespace_selector) or suggest(peer.pod_selector, universe.pods)
    yield on_policy(policy, "peer-matches-nothing", f"{what}: no such pod", fix, path)


def _namespace_fix(engine: Engine, wanted: LabelSelector | None) -> str | None:
    """The label that the author meant, when the namespace selector matches no namespace."""
    if wanted is None or any(wanted.matches(n.labels) for n in engine.universe.namespaces):
        return None
    names = {n.name for n in engine.universe.namespaces}
    for _, value in wanted.match_labels:
        if value in names:
            return f"no namespace has this label; every namespace has {NAMESPACE_NAME}: {value}"
    known = sorted({f"{k}={v}" for n in engine.universe.namespaces for k, v in n.labels.items()})
    return f"no namespace has this label; there are: {', '.join(known[:6])}"


def _block(engine: Engine, policy: NetworkPolicy, cidr: str, path: Path) -> Iterator[Finding]:
    network = ipaddress.ip_network(cidr)
    if network.num_addresses != 1:
        return
    address = str(network.network_address)
    service = service_at(engine, address)
    if service is not None and address in service.cluster_ips:
        name = f"{service.namespace}/{service.name}"
        chosen = ", ".join(f"{k}={v}" for k, v in service.selector.items())
        fix = f"select its backends: podSelector {chosen}" if chosen else "allow the addresses of its endpoints"
        message = f"{cidr} is the address of Service {name}: policies see the backend, never the Service"
        yield on_policy(policy, "service-address", message, fix, path)
    end = engine.ends.address(address)
    if end.pod is not None:
        pod = engine.universe.pods[end.pod]
        labels = ", ".join(f"{k}={v}" for k, v in sorted((pod.selector or pod.labels).items()))
        message = f"{cidr} is the address of pod {pod.namespace}/{pod.name}, which changes when the pod does"
        yield on_policy(policy, "pod-address", message, f"select it by its labels: {labels}", path)


def _cluster_peers(engine: Engine) -> Iterator[Finding]:
    for policy in engine.universe.cluster.cluster_network_policies:
        for direction, rules in ((Direction.INGRESS, policy.ingress), (Direction.EGRESS, policy.egress)):
            for index, rule in enumerate(rules):
                word = "from" if direction is Direction.INGRESS else "to"
                for i, peer in enumerate(rule.peers):
                    path: Path = ("spec", str(direction), index, word, i)
                    if not _matches_something(engine, peer):
                        yield on_cluster_policy(
                            policy,
                            "peer-matches-nothing",
                            f"{direction} rule {index}: {wording.cluster_peer(peer)}: nothing matches",
                            _namespace_fix(engine, peer.namespaces or (peer.pods[0] if peer.pods else None))
                            or "correct the selector or delete it",
                            path,
                        )
    for undecided in engine.undecided_domains():
        yield Finding(
            "domain-undecided",
            f"egress rule {undecided.index}: domain names cannot be decided from addresses; the rule accepts nothing here",
            "give the addresses with --domains FILE, or allow networks",
            f"ClusterNetworkPolicy {undecided.policy}",
            undecided.file,
            undecided.line,
            ("spec", "egress", undecided.index),
        )


def _matches_something(engine: Engine, peer: ClusterPolicyPeer) -> bool:
    universe = engine.universe
    if peer.namespaces is not None:
        return bool(universe.select(None, peer.namespaces, None, True).any())
    if peer.pods is not None:
        return bool(universe.select(None, peer.pods[0], peer.pods[1], True).any())
    if peer.nodes is not None:
        return not universe.cluster.nodes or any(peer.nodes.matches(n.labels) for n in universe.cluster.nodes)
    return True
