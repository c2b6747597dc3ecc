"""NetworkPolicy and ClusterNetworkPolicy objects, compiled: per direction, whom they select and their rules in order.

Peers become ids of `PeerSets`, ports a `PortSpec` (named ports stay open until a destination pod is known). Knows the
API's meaning of missing and empty; decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from eastwest.model.cluster import Pod
from eastwest.model.flow import Direction
from eastwest.model.policy import (
    ClusterNetworkPolicy,
    ClusterPolicyPeer,
    ClusterPolicyPort,
    ClusterPolicyRule,
    NetworkPolicy,
    NetworkPolicyPort,
)
from eastwest.policy.decision import Tier
from eastwest.policy.peers import PeerSets
from eastwest.policy.ports import EVERYTHING, NOTHING, PortSet, ports_of
from eastwest.policy.universe import Mask, Universe

NamedPorts = frozenset[tuple[str, str, int]]
"""(name, protocol, number) of a pod's container ports, those that some rule names."""


@dataclass(frozen=True, slots=True)
class PortSpec:
    """A rule's ports: numbers, plus names to be resolved for each destination pod. Protocol None = any protocol."""

    numbers: PortSet
    named: tuple[tuple[str | None, str], ...] = ()

    def resolve(self, destination: NamedPorts) -> PortSet:
        """The ports on one destination; a name (and protocol) it lacks adds nothing."""
        out = self.numbers
        for protocol, wanted in self.named:
            for name, has_protocol, number in destination:
                if name == wanted and protocol in (None, has_protocol):
                    out = out | ports_of(has_protocol, number)
        return out


ALL_PORTS: Final = PortSpec(EVERYTHING)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule of one policy in one direction.

    peers: id in `PeerSets`. index: 0-based position in the policy's ingress or egress list. has_domains: the rule
    speaks of domain names whose addresses were not given, so it may match addresses that are not in `peers`.
    """

    tier: Tier
    direction: Direction
    policy: str
    index: int
    action: Literal["Accept", "Deny", "Pass"]
    peers: int
    ports: PortSpec
    name: str | None = None
    file: str | None = None
    line: int = 0
    has_domains: bool = False

    @property
    def ref(self) -> str:
        """`policy[index]`."""
        return f"{self.policy}[{self.index}]"


@dataclass(frozen=True, slots=True, eq=False)
class DirectedPolicy:
    """One policy in one direction: subject (n_pods,) and rules in order. Order among policies: `priority`, `policy`."""

    tier: Tier
    direction: Direction
    policy: str
    priority: int
    subject: Mask
    rules: tuple[Rule, ...]
    file: str | None = None
    line: int = 0
    earlier: bool = False  # kept for its subject, while the cluster has another state of it, or none
    withheld: Mask | None = None  # whom it selects besides, for whom something else is kept (`policy.kept`)


def compile_network_policy(policy: NetworkPolicy, universe: Universe, peers: PeerSets) -> Iterator[DirectedPolicy]:
    """One `DirectedPolicy` per entry of policyTypes (defaulted before, by whoever read the object)."""
    subject = universe.select(policy.namespace, None, policy.pod_selector, False)
    name = f"{policy.namespace}/{policy.name}"
    for direction in Direction:
        if direction.capitalize() not in policy.policy_types:
            continue
        source = policy.ingress if direction is Direction.INGRESS else policy.egress
        rules = tuple(
            Rule(
                Tier.NETWORK_POLICY,
                direction,
                name,
                index,
                "Accept",
                peers.of_network_policy(policy.namespace, rule.peers),
                _network_policy_ports(rule.ports),
                file=policy.file,
                line=policy.line,
            )
            for index, rule in enumerate(source)
        )
        yield DirectedPolicy(Tier.NETWORK_POLICY, direction, name, 0, subject, rules, policy.file, policy.line)


def compile_cluster_policy(
    policy: ClusterNetworkPolicy, universe: Universe, peers: PeerSets
) -> Iterator[DirectedPolicy]:
    """One `DirectedPolicy` per direction that has rules (policy.networking.k8s.io/v1alpha2)."""
    namespaces, pods = policy.subject_pods or (policy.subject_namespaces, None)
    if namespaces is None:
        return
    subject = universe.select(None, namespaces, pods, True)
    tier = Tier(policy.tier)
    for direction, source in ((Direction.INGRESS, policy.ingress), (Direction.EGRESS, policy.egress)):
        if source:
            rules = tuple(_cluster_rule(policy, tier, direction, i, rule, peers) for i, rule in enumerate(source))
            yield DirectedPolicy(
                tier, direction, policy.name, policy.priority, subject, rules, policy.file, policy.line
            )


def _cluster_rule(
    policy: ClusterNetworkPolicy, tier: Tier, direction: Direction, index: int, rule: ClusterPolicyRule, peers: PeerSets
) -> Rule:
    """A rule with a peer that is not understood fails closed: Accept matches nothing, Deny and Pass deny everything."""
    action, who, ports = rule.action, peers.of_cluster_policy(rule.peers), _cluster_ports(rule.ports)
    if any(_unusable(p, direction, rule.action) for p in rule.peers):
        if action == "Accept":
            who = peers.nobody
        else:
            action, who, ports = "Deny", peers.everyone, ALL_PORTS
        return Rule(tier, direction, policy.name, index, action, who, ports, rule.name, policy.file, policy.line)
    open_ended = not peers.knows_domains and any(p.domain_names for p in rule.peers)
    return Rule(
        tier, direction, policy.name, index, action, who, ports, rule.name, policy.file, policy.line, open_ended
    )


def _unusable(peer: ClusterPolicyPeer, direction: Direction, action: str) -> bool:
    if direction is Direction.INGRESS and (peer.nodes is not None or peer.networks is not None or peer.domain_names):
        return True
    return peer.unknown is not None or (bool(peer.domain_names) and action != "Accept")


def _network_policy_ports(ports: tuple[NetworkPolicyPort, ...] | None) -> PortSpec:
    if not ports:
        return ALL_PORTS
    if len(ports) == 1:
        (only,) = ports
        return _one_port(only.protocol, only.port, only.end_port)
    return _several_ports(ports)


@lru_cache(maxsize=1 << 16)
def _one_port(protocol: str, port: int | str | None, end_port: int | None) -> PortSpec:
    if isinstance(port, str):
        return PortSpec(NOTHING, ((protocol, port),))
    return PortSpec(ports_of(protocol, port, end_port))


@lru_cache(maxsize=1 << 14)
def _several_ports(ports: tuple[NetworkPolicyPort, ...]) -> PortSpec:
    numbers, named = NOTHING, []
    for entry in ports:
        if isinstance(entry.port, str):
            named.append((entry.protocol, entry.port))
        else:
            numbers = numbers | ports_of(entry.protocol, entry.port, entry.end_port)
    return PortSpec(numbers, tuple(named))


def _cluster_ports(ports: tuple[ClusterPolicyPort, ...] | None) -> PortSpec:
    if ports is None:
        return ALL_PORTS
    numbers, named = NOTHING, []
    for entry in ports:
        if entry.named is not None:
            named.append((entry.protocol, entry.named))
        elif entry.protocol is not None:
            numbers = numbers | ports_of(entry.protocol, entry.start, entry.end)
    return PortSpec(numbers, tuple(named))


def named_ports(pod: Pod, names: frozenset[str]) -> NamedPorts:
    """The pod's container ports whose name some rule uses."""
    return frozenset((p.name, p.protocol, p.port) for p in pod.ports if p.name in names and p.name is not None)
