"""The same permissions as ClusterNetworkPolicy (v1alpha2), for platform teams that lock down what has no policy yet.

Two policies per workload in the Baseline tier: one Accepts what was seen, one with the last priority Denies the rest; a
NetworkPolicy of the workload's team replaces them. Outside egress is by domain name where every address has one. The API's ingress peers are pods only, so
what comes from outside or from nodes is neither accepted nor denied here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from eastwest.model.flow import Direction
from eastwest.model.policy import (
    ClusterNetworkPolicy,
    ClusterPolicyPeer,
    ClusterPolicyPort,
    ClusterPolicyRule,
    LabelSelector,
    NetworkPolicyPeer,
)
from eastwest.policy.generate.generator import Generated
from eastwest.policy.generate.rules import EVERYWHERE, NAMESPACE_LABEL, GeneratedRule

PRIORITY: Final = 100
DENY_PRIORITY: Final = 1000
"""After every Accept: the subjects of two workloads may overlap, and one's Deny must not undo the other's Accept."""
MAX_RULES: Final = 25
_PODS: Final = (ClusterPolicyPeer(namespaces=LabelSelector()),)
_EVERYONE: Final = (*_PODS, ClusterPolicyPeer(networks=tuple(EVERYWHERE.values())))


def cluster_policies(generated: Generated, *, by_domain: bool = True) -> tuple[ClusterNetworkPolicy, ...]:
    """One per generated workload policy, or several where one object's bound of rules is exceeded."""
    out: list[ClusterNetworkPolicy] = []
    for namespace, policies in generated.policies.items():
        for policy in policies:
            rules = generated.report.rules.get(f"{namespace}/{policy.name}")
            if rules is not None:
                out += _policies(namespace, f"{namespace}.{policy.name}", policy.pod_selector, rules, by_domain)
    return tuple(out)


def _policies(
    namespace: str, name: str, pods: LabelSelector, rules: Sequence[GeneratedRule], by_domain: bool
) -> Iterator[ClusterNetworkPolicy]:
    """Accept rules in as many objects as they need, in order of priority; Deny in one of its own, last of all."""
    sides: dict[Direction, list[ClusterPolicyRule]] = {d: [] for d in Direction}
    for rule in rules:
        peers = _peers(namespace, rule, by_domain)
        if peers:
            ports = tuple(ClusterPolicyPort(protocol, number, number) for protocol, number in rule.ports)
            for at in range(0, len(ports), MAX_RULES):
                sides[rule.direction].append(ClusterPolicyRule("Accept", peers, ports[at : at + MAX_RULES]))
    subject = (LabelSelector(((NAMESPACE_LABEL, namespace),)), pods)
    for n in range(max(-(-len(side) // MAX_RULES) for side in sides.values())):
        ingress, egress = (tuple(sides[d][n * MAX_RULES : (n + 1) * MAX_RULES]) for d in Direction)
        suffix = f"-{n + 1}" if n else ""
        yield ClusterNetworkPolicy(name + suffix, "Baseline", PRIORITY + n, None, subject, ingress, egress)
    seen = {rule.direction for rule in rules}
    yield ClusterNetworkPolicy(
        f"{name}-deny", "Baseline", DENY_PRIORITY, None, subject,
        ingress=(ClusterPolicyRule("Deny", _PODS),) if Direction.INGRESS in seen else (),
        egress=(ClusterPolicyRule("Deny", _EVERYONE),) if Direction.EGRESS in seen else (),
    )  # fmt: skip


def _peers(namespace: str, rule: GeneratedRule, by_domain: bool) -> tuple[ClusterPolicyPeer, ...]:
    if rule.kind == "pods":
        return tuple(_pods(namespace, peer) for peer in rule.rule.peers or ())
    if rule.direction is Direction.INGRESS:
        return ()
    if by_domain and rule.domains:
        return (ClusterPolicyPeer(domain_names=rule.domains),)
    cidrs = tuple(peer.ip_block.cidr for peer in rule.rule.peers or () if peer.ip_block)
    return (ClusterPolicyPeer(networks=cidrs),)


def _pods(namespace: str, peer: NetworkPolicyPeer) -> ClusterPolicyPeer:
    where = peer.namespace_selector or LabelSelector(((NAMESPACE_LABEL, namespace),))
    return ClusterPolicyPeer(pods=(where, peer.pod_selector or LabelSelector()))
