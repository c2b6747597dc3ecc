"""Policies generated from traffic: beside those in force, replayed, and on the map."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from eastwest.api.models.window import Window


class PolicyBeyond(BaseModel):
    """A permission that no recorded connection used, and why it is there."""

    reason: Literal["dns-tcp", "probe", "cidr-widening", "declared"]
    permission: str


class PolicyRule(BaseModel):
    """One generated rule and the connections it rests on."""

    direction: Literal["ingress", "egress"]
    peer: str
    ports: list[str]
    connections: int
    first_seen_ns: int | None
    last_seen_ns: int | None
    beyond: list[PolicyBeyond]


class PolicyText(BaseModel):
    name: str = Field(description="namespace/name")
    yaml: str


class PolicyChange(BaseModel):
    """What the generated policies permit otherwise than the current ones, seen from one workload."""

    change: Literal["added", "removed"]
    direction: Literal["ingress", "egress"]
    peers: list[str] = Field(description="workloads as namespace/name[Kind], outside ends as CIDRs; at most 50")
    more_peers: int
    ports: str
    sentence: str


class WorkloadPolicy(BaseModel):
    """What is known of one workload, and the policies that select it."""

    namespace: str
    kind: str
    name: str
    learning: Literal["ready", "partial", "gaps", "not-run"]
    learning_text: str
    watched_seconds: float
    pods: int
    started: int = Field(description="pods that started inside the range")
    gaps: list[str] = Field(description="what the record lacks, in words")
    not_observed: list[Literal["ingress", "egress"]]
    generated: PolicyText | None
    current: list[PolicyText]
    changes: list[PolicyChange]
    rules: list[PolicyRule]


class PolicyDenied(BaseModel):
    """Recorded connections between two ends that the policies would deny."""

    src: str
    dst: str
    protocol: str
    dst_port: int
    connections: int
    reason: str
    missing_rule: str = Field(description="YAML ready to apply; empty where no NetworkPolicy can say it")


class PolicyUnused(BaseModel):
    """A permission that no recorded connection used: a rule, or one port of it."""

    policy: str
    direction: Literal["ingress", "egress"]
    rule: int
    port: str | None
    reason: str


class PolicyReplay(BaseModel):
    """Every recorded connection through a set of policies. `attempts` were never answered: nothing breaks."""

    flows: int = Field(description="flow records")
    connections: int = Field(description="distinct connections")
    allowed: int
    denied: list[PolicyDenied]
    attempts: list[PolicyDenied]
    unused: list[PolicyUnused]
    skipped: dict[str, int] = Field(description="distinct connections that could not be judged, by reason")


class PolicyLeftOut(BaseModel):
    reason: str
    src: str
    dst: str
    protocol: str
    dst_port: int
    connections: int


class Policies(BaseModel):
    """Policies generated from a range beside those in force. `replay` is of the generated ones over the same range."""

    window: Window
    workloads: list[WorkloadPolicy]
    default_deny: list[PolicyText]
    replay: PolicyReplay
    gaps: list[str] = Field(
        description="why `eastwest policy generate` refuses without --accept-gaps; empty = it does not"
    )
    beyond: dict[str, int] = Field(description="permissions beyond what was seen, by reason")
    left_out: list[PolicyLeftOut] = Field(description="traffic that makes no rule")
    indistinguishable: list[str] = Field(description="workloads that no label tells apart")
    skipped_namespaces: list[str] = Field(description="without any traffic, so left as they are")


class PolicyEdge(BaseModel):
    """What the policies do to an edge of the service map: the same source, target, protocol and dst_port."""

    source: str
    target: str
    protocol: str
    dst_port: int
    state: Literal["allowed", "denied", "attempt", "unknown"] = Field(
        description="attempt: denied, but nobody ever answered; unknown: it cannot be judged"
    )
    connections: int = Field(description="how many of the edge's connections the state speaks of")
    reason: str
    missing_rule: str


class PolicyEffect(BaseModel):
    window: Window
    set: Literal["current", "generated"]
    level: Literal["workload", "pod"]
    policies: int = Field(description="NetworkPolicies and ClusterNetworkPolicies of the set; 0 allows everything")
    edges: list[PolicyEdge]
    unused: list[PolicyUnused]
