"""Selectors, peers and ports in words, for explain and lint. Takes the typed objects as they were written."""

from __future__ import annotations

from eastwest.model.policy import ClusterPolicyPeer, LabelSelector, NetworkPolicyPeer
from eastwest.policy.ports import NOTHING
from eastwest.policy.rules import PortSpec


def selector(labels: LabelSelector) -> str:
    """`app=ui, tier in (a, b), !legacy`; an empty selector is "any"."""
    words = [f"{key}={value}" for key, value in labels.match_labels]
    for r in labels.match_expressions:
        values = f"({', '.join(r.values)})"
        words.append(
            {
                "In": f"{r.key} in {values}",
                "NotIn": f"{r.key} not in {values}",
                "Exists": r.key,
                "DoesNotExist": f"!{r.key}",
            }[r.operator]
        )
    return ", ".join(words) or "any"


def peer(one: NetworkPolicyPeer, namespace: str) -> str:
    """One entry of `from` or `to`."""
    if one.ip_block is not None:
        holes = f" except {', '.join(one.ip_block.except_)}" if one.ip_block.except_ else ""
        return one.ip_block.cidr + holes
    pods = "all pods" if one.pod_selector is None or selector(one.pod_selector) == "any" else f"pods {_pods(one)}"
    if one.namespace_selector is None:
        return f"{pods} of {namespace}"
    where = selector(one.namespace_selector)
    return f"{pods} of {'every namespace' if where == 'any' else f'namespaces {where}'}"


def _pods(one: NetworkPolicyPeer) -> str:
    assert one.pod_selector is not None
    return selector(one.pod_selector)


def peers(many: tuple[NetworkPolicyPeer, ...] | None, namespace: str) -> str:
    """A whole `from` or `to`."""
    return "anyone" if not many else " or ".join(peer(p, namespace) for p in many)


def cluster_peer(one: ClusterPolicyPeer) -> str:
    """One peer of a ClusterNetworkPolicy rule."""
    if one.namespaces is not None:
        where = selector(one.namespaces)
        return "all pods" if where == "any" else f"all pods of namespaces {where}"
    if one.pods is not None:
        return f"pods {selector(one.pods[1])} of namespaces {selector(one.pods[0])}"
    if one.nodes is not None:
        return f"nodes {selector(one.nodes)}"
    if one.networks is not None:
        return ", ".join(one.networks)
    if one.domain_names is not None:
        return ", ".join(one.domain_names)
    return f"a peer of unknown kind {one.unknown!r}"


def ports(spec: PortSpec) -> str:
    """`TCP 80, port 'http' (TCP)`."""
    words = [str(spec.numbers)] if spec.numbers != NOTHING or not spec.named else []
    words += [f"port {name!r}" + (f" ({protocol})" if protocol else "") for protocol, name in spec.named]
    return ", ".join(words)
