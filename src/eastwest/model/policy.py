"""NetworkPolicy v1 and ClusterNetworkPolicy v1alpha2 as typed values, after API-server defaulting.

`None` and empty are kept apart wherever the API keeps them apart (a missing `from` against an empty selector).
Fields follow networking.k8s.io/v1 and policy.networking.k8s.io/v1alpha2. `k8s` parses and defaults; `policy` decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One matchExpressions entry. NotIn and DoesNotExist also match when the key is absent."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """matchLabels AND matchExpressions; an empty selector matches everything."""

    match_labels: tuple[tuple[str, str], ...] = ()  # sorted by key
    match_expressions: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` satisfy every requirement (apimachinery labels.Selector semantics)."""
        for key, value in self.match_labels:
            if labels.get(key) != value:
                return False
        for r in self.match_expressions:
            present = r.key in labels
            if r.operator == "In":
                if not present or labels[r.key] not in r.values:
                    return False
            elif r.operator == "NotIn":
                if present and labels[r.key] in r.values:
                    return False
            elif r.operator == "Exists":
                if not present:
                    return False
            elif present:
                return False
        return True


@dataclass(frozen=True, slots=True)
class IpBlock:
    cidr: str  # canonical network text
    except_: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPolicyPeer:
    """Exactly one of: ip_block, or pod_selector and/or namespace_selector (both = AND)."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IpBlock | None = None


@dataclass(frozen=True, slots=True)
class NetworkPolicyPort:
    """`port` None = every port of the protocol; text = a named port of the destination pod."""

    protocol: str = "TCP"
    port: int | str | None = None
    end_port: int | None = None  # inclusive; only with a numeric port


@dataclass(frozen=True, slots=True)
class NetworkPolicyRule:
    """One ingress or egress rule. `peers` None = `from`/`to` missing or empty: everyone, inside and outside.

    `ports` None = `ports` missing or empty: every port of every protocol.
    """

    peers: tuple[NetworkPolicyPeer, ...] | None = None
    ports: tuple[NetworkPolicyPort, ...] | None = None


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    namespace: str
    name: str
    pod_selector: LabelSelector
    policy_types: tuple[str, ...]  # "Ingress" and/or "Egress", after defaulting
    ingress: tuple[NetworkPolicyRule, ...] = ()
    egress: tuple[NetworkPolicyRule, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    file: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class ClusterPolicyPeer:
    """Exactly one field is set; `unknown` names a field this version does not know (the peer then fails closed)."""

    namespaces: LabelSelector | None = None
    pods: tuple[LabelSelector, LabelSelector] | None = None  # (namespaceSelector, podSelector)
    nodes: LabelSelector | None = None  # egress only
    networks: tuple[str, ...] | None = None  # egress only, canonical CIDRs
    domain_names: tuple[str, ...] | None = None  # egress only, Accept only
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterPolicyPort:
    """A number, a range (inclusive), or a named port; protocol None only with `named`."""

    protocol: str | None = "TCP"
    start: int | None = None
    end: int | None = None
    named: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterPolicyRule:
    action: Literal["Accept", "Deny", "Pass"]
    peers: tuple[ClusterPolicyPeer, ...]
    ports: tuple[ClusterPolicyPort, ...] | None = None  # None = all
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterNetworkPolicy:
    name: str
    tier: Literal["Admin", "Baseline"]
    priority: int  # 0-1000, lower first
    subject_namespaces: LabelSelector | None = None  # exactly one of the two subjects
    subject_pods: tuple[LabelSelector, LabelSelector] | None = None  # (namespaceSelector, podSelector)
    ingress: tuple[ClusterPolicyRule, ...] = ()
    egress: tuple[ClusterPolicyRule, ...] = ()
    file: str | None = None
    line: int = 0
