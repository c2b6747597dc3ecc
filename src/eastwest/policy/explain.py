"""Explanations: the rules in force for a pod, and what decides each port of a pair."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from eastwest.model.flow import Direction
from eastwest.policy import wording
from eastwest.policy.decision import Decision, Tier
from eastwest.policy.ends import End
from eastwest.policy.engine import Engine
from eastwest.policy.ports import PortSet
from eastwest.policy.rules import Rule


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """One rule that can decide for a pod. `workloads`: who the peers are now, sorted; () for addresses only."""

    rule: Rule
    peers: str
    ports: str
    workloads: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        r = self.rule
        return {
            "tier": str(r.tier),
            "policy": r.policy,
            "rule": r.index,
            "name": r.name,
            "action": r.action,
            "peers": self.peers,
            "ports": self.ports,
            "workloads": list(self.workloads),
            "file": r.file,
            "line": r.line,
        }


@dataclass(frozen=True, slots=True)
class SideInForce:
    """One direction of a pod: which NetworkPolicies isolate it, and the rules in order of evaluation."""

    direction: Direction
    isolated_by: tuple[str, ...]
    rules: tuple[RuleInForce, ...]
    rest: str  # what happens to everything that no rule matches

    def to_json(self) -> dict[str, object]:
        return {
            "isolated_by": list(self.isolated_by),
            "rules": [r.to_json() for r in self.rules],
            "otherwise": self.rest,
        }


@dataclass(frozen=True, slots=True)
class PairSegment:
    """Ports of a pair that share both decisions."""

    ports: PortSet
    egress: Decision
    ingress: Decision

    @property
    def allowed(self) -> bool:
        return self.egress.allowed and self.ingress.allowed


def rules_in_force(engine: Engine, pod: int, direction: Direction) -> SideInForce:
    """What decides for one pod in one direction."""
    table = engine.rules(pod, direction)
    if engine.universe.is_node[pod]:
        return SideInForce(direction, (), (), "allowed: a host-network pod is its node, no policy selects it")
    if table.isolated_by:
        rest = "denied: isolated, and no rule matches"
    else:
        what = "no policy decides it" if table.rules else "no policy selects this side"
        scope = table.posture
        rest = f"allowed: {what}" if scope is None else f"denied: {what}, and the default posture of {scope} is deny"
    return SideInForce(direction, table.isolated_by, tuple(_in_force(engine, r) for r in table.rules), rest)


def explain_pair(engine: Engine, src: End, dst: End, family: int | None = None) -> list[PairSegment]:
    """Every port of every protocol, partitioned by what decides it; allowed ones first."""
    egress, ingress = engine.segments(src, dst, family)
    out = [PairSegment(both, e.decision, i.decision) for e in egress for i in ingress if (both := e.ports & i.ports)]
    return sorted(out, key=lambda s: not s.allowed)


def _in_force(engine: Engine, rule: Rule) -> RuleInForce:
    return RuleInForce(rule, peers_text(engine, rule), wording.ports(rule.ports), workloads_of(engine, rule))


def peers_text(engine: Engine, rule: Rule) -> str:
    """The peers as they were written."""
    cluster = engine.universe.cluster
    if rule.tier is Tier.NETWORK_POLICY:
        for policy in cluster.network_policies:
            if f"{policy.namespace}/{policy.name}" == rule.policy:
                rules = policy.ingress if rule.direction is Direction.INGRESS else policy.egress
                return wording.peers(rules[rule.index].peers, policy.namespace)
    for other in cluster.cluster_network_policies:
        if other.name == rule.policy and other.tier == rule.tier:
            cluster_rules = other.ingress if rule.direction is Direction.INGRESS else other.egress
            return " or ".join(map(wording.cluster_peer, cluster_rules[rule.index].peers))
    raise KeyError(rule.policy)


def workloads_of(engine: Engine, rule: Rule) -> tuple[str, ...]:
    """The workloads that have a pod among the rule's peers, in any family."""
    member = engine.identities.member[rule.peers]
    of_pod = engine.identities.of_pod
    pods = np.flatnonzero((member[of_pod[4]] | member[of_pod[6]]) & engine.universe.live)
    return _names(engine, pods.tolist())


def _names(engine: Engine, pods: Iterable[int]) -> tuple[str, ...]:
    return tuple(sorted({str(engine.universe.pods[p].workload) for p in pods}))
