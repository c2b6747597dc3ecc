"""Kubernetes objects to YAML: the cluster part of a bundle, and generated policies ready for git. Deterministic.

What a bundle holds may leave the house: environment variables, arguments, volumes and bookkeeping are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from eastwest.k8s.history import Version, readiness
from eastwest.k8s.ipindex import FOREVER
from eastwest.k8s.sources import VALID_FROM, VALID_TO
from eastwest.k8s.workloads import TEMPLATES
from eastwest.model.policy import (
    ClusterNetworkPolicy,
    ClusterPolicyPeer,
    ClusterPolicyPort,
    ClusterPolicyRule,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
)

FILES: Final[Mapping[str, str]] = {
    "Namespace": "namespaces.yaml",
    "Node": "nodes.yaml",
    "Pod": "pods.yaml",
    "Service": "services.yaml",
    "EndpointSlice": "endpoints.yaml",
    "Endpoints": "endpoints.yaml",
    "NetworkPolicy": "policies.yaml",
    "ClusterNetworkPolicy": "policies.yaml",
    **dict.fromkeys(TEMPLATES, "workloads.yaml"),
}
_BOOKKEEPING: Final = ("managedFields", "resourceVersion", "generation", "selfLink", "creationTimestamp")
_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_PRIVATE: Final = frozenset(
    {"env", "envFrom", "args", "command", "volumeMounts", "volumes", "imagePullSecrets", "lifecycle"}
)
_STATUS: Final = ("phase", "podIP", "podIPs", "hostIP", "addresses", "loadBalancer")


def cluster_files(versions: Iterable[Version]) -> dict[str, str]:
    """File name to YAML text, each version of an object annotated with its interval where it has one."""
    texts: dict[str, list[str]] = {}
    for version in versions:
        name = FILES.get(version.raw.kind)
        if name is not None:
            texts.setdefault(name, []).append(document(_recorded(version)))
    return {name: "---\n".join(parts) for name, parts in sorted(texts.items())}


def document(body: Any, comment: str = "") -> str:
    """One YAML document in block style, keys in the order given, preceded by a comment of any number of lines."""
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return head + yaml.dump(
        body, Dumper=_Dumper, default_flow_style=False, sort_keys=False, width=120, allow_unicode=True
    )


class _Dumper(yaml.CSafeDumper):
    """Never writes anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    """Text of several lines as a literal block, which people can read."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _recorded(version: Version) -> dict[str, Any]:
    raw = version.raw
    metadata = {k: v for k, v in raw.metadata.items() if k not in _BOOKKEEPING}
    given = metadata.get("annotations")
    annotations = {k: v for k, v in given.items() if k != _APPLIED} if isinstance(given, dict) else {}
    if version.from_ns > 0:
        annotations[VALID_FROM] = str(version.from_ns)
    if version.to_ns < FOREVER:
        annotations[VALID_TO] = str(version.to_ns)
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    body = {k: v for k, v in raw.body.items() if k not in ("metadata", "status")}
    status = raw.body.get("status")
    if isinstance(status, dict):
        body["status"] = {k: status[k] for k in _STATUS if k in status}
        if ready := readiness(raw):
            body["status"]["conditions"] = ready
    if raw.kind == "Pod" or raw.kind in TEMPLATES:
        body = _public(body)
    ordered: dict[str, Any] = _sorted({**body, "metadata": metadata})
    return ordered


def _public(value: Any) -> Any:
    """Without what may be secret, at any depth."""
    if isinstance(value, dict):
        return {k: _public(v) for k, v in value.items() if k not in _PRIVATE}
    return [_public(item) for item in value] if isinstance(value, list) else value


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _sorted(value[k]) for k in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def network_policy_body(policy: NetworkPolicy) -> dict[str, Any]:
    """The object as `kubectl` takes it; parsing it again gives the same policy."""
    spec: dict[str, Any] = {
        "podSelector": selector_body(policy.pod_selector),
        "policyTypes": list(policy.policy_types),
    }
    if policy.ingress:
        spec["ingress"] = [_rule(rule, "from") for rule in policy.ingress]
    if policy.egress:
        spec["egress"] = [_rule(rule, "to") for rule in policy.egress]
    metadata: dict[str, Any] = {"name": policy.name, "namespace": policy.namespace}
    if policy.annotations:
        metadata["annotations"] = dict(sorted(policy.annotations.items()))
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def policy_text(policy: NetworkPolicy) -> str:
    """One NetworkPolicy as YAML."""
    return document(network_policy_body(policy))


def policy_files(policies: Mapping[str, Iterable[NetworkPolicy]]) -> dict[str, str]:
    """Policies by namespace as a folder for `kubectl apply -k` and git: path to text."""
    out: dict[str, str] = {}
    for namespace, found in policies.items():
        texts = {policy.name: policy_text(policy) for policy in found}
        out |= {f"{namespace}/{name}.yaml": text for name, text in texts.items()}
        out[f"{namespace}/kustomization.yaml"] = kustomization(texts)
    return out


def kustomization(names: Iterable[str]) -> str:
    """A Kustomization of the files of these names."""
    body = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{name}.yaml" for name in names],
    }
    return document(body)


def _rule(rule: NetworkPolicyRule, ends: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if rule.peers is not None:
        out[ends] = [_peer(peer) for peer in rule.peers]
    if rule.ports is not None:
        out["ports"] = [_port(port) for port in rule.ports]
    return out


def _peer(peer: NetworkPolicyPeer) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if peer.namespace_selector is not None:
        out["namespaceSelector"] = selector_body(peer.namespace_selector)
    if peer.pod_selector is not None:
        out["podSelector"] = selector_body(peer.pod_selector)
    if peer.ip_block is not None:
        out["ipBlock"] = {"cidr": peer.ip_block.cidr}
        if peer.ip_block.except_:
            out["ipBlock"]["except"] = list(peer.ip_block.except_)
    return out


def _port(port: NetworkPolicyPort) -> dict[str, Any]:
    out: dict[str, Any] = {"protocol": port.protocol}
    if port.port is not None:
        out["port"] = port.port
    if port.end_port is not None:
        out["endPort"] = port.end_port
    return out


def selector_body(selector: LabelSelector) -> dict[str, Any]:
    """A LabelSelector as the API writes it."""
    out: dict[str, Any] = {}
    if selector.match_labels:
        out["matchLabels"] = dict(selector.match_labels)
    if selector.match_expressions:
        out["matchExpressions"] = [
            {"key": r.key, "operator": r.operator, **({"values": list(r.values)} if r.values else {})}
            for r in selector.match_expressions
        ]
    return out


def cluster_policy_body(policy: ClusterNetworkPolicy) -> dict[str, Any]:
    """A ClusterNetworkPolicy (v1alpha2); parsing it again gives the same policy."""
    subject: dict[str, Any] = {}
    if policy.subject_namespaces is not None:
        subject["namespaces"] = selector_body(policy.subject_namespaces)
    if policy.subject_pods is not None:
        subject["pods"] = _namespaced(policy.subject_pods)
    spec: dict[str, Any] = {"tier": policy.tier, "priority": policy.priority, "subject": subject}
    for key, ends, rules in (("ingress", "from", policy.ingress), ("egress", "to", policy.egress)):
        if rules:
            spec[key] = [_cluster_rule(rule, ends) for rule in rules]
    version = "policy.networking.k8s.io/v1alpha2"
    return {"apiVersion": version, "kind": "ClusterNetworkPolicy", "metadata": {"name": policy.name}, "spec": spec}


def _cluster_rule(rule: ClusterPolicyRule, ends: str) -> dict[str, Any]:
    out: dict[str, Any] = {"name": rule.name} if rule.name else {}
    out |= {"action": rule.action, ends: [_cluster_peer(peer) for peer in rule.peers]}
    if rule.ports is not None:
        out["protocols"] = [_cluster_port(port) for port in rule.ports]
    return out


def _cluster_peer(peer: ClusterPolicyPeer) -> dict[str, Any]:
    if peer.pods is not None:
        return {"pods": _namespaced(peer.pods)}
    if peer.networks is not None:
        return {"networks": list(peer.networks)}
    if peer.domain_names is not None:
        return {"domainNames": list(peer.domain_names)}
    if peer.nodes is not None:
        return {"nodes": selector_body(peer.nodes)}
    return {"namespaces": selector_body(peer.namespaces or LabelSelector())}


def _cluster_port(port: ClusterPolicyPort) -> dict[str, Any]:
    if port.named is not None:
        return {"destinationNamedPort": port.named}
    one = port.end is None or port.end == port.start
    number: dict[str, Any] = {"number": port.start} if one else {"range": {"start": port.start, "end": port.end}}
    return {str(port.protocol).lower(): {"destinationPort": number}}


def _namespaced(pods: tuple[LabelSelector, LabelSelector]) -> dict[str, Any]:
    return {"namespaceSelector": selector_body(pods[0]), "podSelector": selector_body(pods[1])}
