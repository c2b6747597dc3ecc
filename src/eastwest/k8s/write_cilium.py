"""NetworkPolicies as CiliumNetworkPolicy (cilium.io/v2), whose words for nodes, the world and domain names are richer.

Translates what it is given; which rule stands for nodes, for the world or for names is said by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eastwest.k8s.write import selector_body
from eastwest.model.policy import LabelSelector, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyRule

_NAMESPACE: Final = "kubernetes.io/metadata.name"
_POD_NAMESPACE: Final = "k8s:io.kubernetes.pod.namespace"
_NAMESPACE_LABELS: Final = "k8s:io.cilium.k8s.namespace.labels."
_NODES: Final = ("host", "remote-node", "kube-apiserver")


@dataclass(frozen=True, slots=True)
class CiliumHint:
    """entities: what the rule's CIDRs stand for; domains: the names of its addresses."""

    entities: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


NODES: Final = CiliumHint(_NODES)
WORLD: Final = CiliumHint(("world",))


def cilium_policy_body(
    policy: NetworkPolicy, ingress: Sequence[CiliumHint], egress: Sequence[CiliumHint]
) -> dict[str, Any]:
    """The object as `kubectl` takes it; one hint per rule. A direction without rules is closed."""
    names = any(hint.domains for hint in egress)
    spec: dict[str, Any] = {"endpointSelector": selector_body(policy.pod_selector)}
    if "Ingress" in policy.policy_types:
        spec["ingress"] = [_rule(r, h, "from", False) for r, h in zip(policy.ingress, ingress, strict=True)] or [{}]
    if "Egress" in policy.policy_types:
        spec["egress"] = [_rule(r, h, "to", names) for r, h in zip(policy.egress, egress, strict=True)] or [{}]
    metadata: dict[str, Any] = {"name": policy.name, "namespace": policy.namespace}
    if policy.annotations:
        metadata["annotations"] = dict(sorted(policy.annotations.items()))
    return {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata, "spec": spec}


def _rule(rule: NetworkPolicyRule, hint: CiliumHint, side: str, dns: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if hint.domains and side == "to":
        out["toFQDNs"] = [{"matchName": name} for name in hint.domains]
    elif hint.entities:
        out[f"{side}Entities"] = list(hint.entities)
    elif rule.peers is None:
        out[f"{side}Entities"] = ["all"]
    else:
        blocks = [peer.ip_block for peer in rule.peers if peer.ip_block is not None]
        pods = [_endpoint(peer) for peer in rule.peers if peer.ip_block is None]
        if pods:
            out[f"{side}Endpoints"] = pods
        if blocks:
            out[f"{side}CIDRSet"] = [
                {"cidr": b.cidr, **({"except": list(b.except_)} if b.except_ else {})} for b in blocks
            ]
    if rule.ports is not None:
        out["toPorts"] = [_ports(rule, dns)]
    return out


def _ports(rule: NetworkPolicyRule, dns: bool) -> dict[str, Any]:
    """Ports; where names are used in other rules, lookups go through the DNS proxy, which learns the addresses."""
    ports = [
        {"port": str(p.port or 0), **({"endPort": p.end_port} if p.end_port else {}), "protocol": p.protocol}
        for p in rule.ports or ()
    ]
    if dns and any(p.protocol == "UDP" and p.port == 53 for p in rule.ports or ()):
        return {"ports": ports, "rules": {"dns": [{"matchPattern": "*"}]}}
    return {"ports": ports}


def _endpoint(peer: NetworkPolicyPeer) -> dict[str, Any]:
    body = selector_body(peer.pod_selector or LabelSelector())
    if peer.namespace_selector is None:
        return body
    labels: Mapping[str, str] = dict(peer.namespace_selector.match_labels)
    where = {_POD_NAMESPACE if k == _NAMESPACE else _NAMESPACE_LABELS + k: v for k, v in labels.items()}
    return {**body, "matchLabels": {**where, **body.get("matchLabels", {})}}
