"""ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2) objects to typed policies, validated as its CRD does.

A peer with a field this version does not know is kept, marked unknown: the API asks evaluators to fail closed on it.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from eastwest.k8s.fields import Fields, Reader, network
from eastwest.k8s.netpol import port_or_name
from eastwest.k8s.raw import valid_name
from eastwest.k8s.selectors import selector
from eastwest.model.policy import (
    ClusterNetworkPolicy,
    ClusterPolicyPeer,
    ClusterPolicyPort,
    ClusterPolicyRule,
    LabelSelector,
)

GROUP: Final = "policy.networking.k8s.io"
MAX_ITEMS: Final = 25
_DOMAIN: Final = re.compile(
    r"(\*\.)?([a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?"
)
_INGRESS_PEERS: Final = ("namespaces", "pods")
_EGRESS_PEERS: Final = ("namespaces", "pods", "nodes", "networks", "domainNames")


def cluster_network_policy(reader: Reader) -> ClusterNetworkPolicy | None:
    """The policy; None (and problems) where its CRD's validation would refuse it."""
    raw = reader.raw
    if not valid_name(raw.name):
        reader.say("error", ("metadata", "name"), f"{raw.name!r} is not a valid name")
    spec = reader.top().inner("spec")
    spec.known(("tier", "priority", "subject", "ingress", "egress"))
    priority = spec.integer("priority", 0, 1000)
    if "priority" not in spec:
        spec.error("priority", "is required")
    subject = spec.inner("subject")
    subject.known(("namespaces", "pods"))
    if len(subject.values) != 1:
        subject.error(None, "exactly one of namespaces and pods must be set")
    policy = ClusterNetworkPolicy(
        name=raw.name,
        tier=_tier(spec),
        priority=priority or 0,
        subject_namespaces=selector(subject, "namespaces"),
        subject_pods=_namespaced_pods(subject) if "pods" in subject else None,
        ingress=tuple(_rule(rule, "from", _INGRESS_PEERS) for rule in _bounded(spec, "ingress")),
        egress=tuple(_rule(rule, "to", _EGRESS_PEERS) for rule in _bounded(spec, "egress")),
        file=raw.file,
        line=raw.line,
    )
    return None if reader.failed else policy


def _tier(spec: Fields) -> Literal["Admin", "Baseline"]:
    if spec.choice("tier", ("", "Admin", "Baseline"), "") == "":
        spec.error("tier", "must be Admin or Baseline")
    return "Baseline" if spec.values.get("tier") == "Baseline" else "Admin"


def _action(rule: Fields) -> Literal["Accept", "Deny", "Pass"]:
    word = rule.text("action")
    if word == "Accept":
        return "Accept"
    if word == "Pass":
        return "Pass"
    if word != "Deny":
        rule.error("action", f"{word!r} is not one of Accept, Deny, Pass")
    return "Deny"


def _rule(rule: Fields, ends: str, allowed: tuple[str, ...]) -> ClusterPolicyRule:
    rule.known(("name", "action", ends, "protocols"))
    action = _action(rule)
    peers = tuple(_peer(peer, allowed, action) for peer in _bounded(rule, ends))
    if not peers:
        rule.error(ends, "must have at least one peer")
    ports = tuple(_port(port) for port in _bounded(rule, "protocols"))
    outside = any(p.nodes is not None or p.networks or p.domain_names for p in peers)
    if outside and any(port.named for port in ports):
        rule.error("protocols", "a named port cannot be used with networks, nodes or domainNames")
    name = rule.text("name")
    if len(name) > 100:
        rule.error("name", "at most 100 characters")
    return ClusterPolicyRule(action, peers, ports or None, name or None)


def _peer(peer: Fields, allowed: tuple[str, ...], action: str) -> ClusterPolicyPeer:
    if len(peer.values) != 1:
        peer.error(None, f"exactly one of {', '.join(allowed)} must be set")
        return ClusterPolicyPeer(unknown="")
    (key,) = peer.values
    if key not in allowed:
        peer.reader.say("warning", (*peer.path, key), "unknown kind of peer: the rule fails closed")
        return ClusterPolicyPeer(unknown=key)
    if key == "pods":
        return ClusterPolicyPeer(pods=_namespaced_pods(peer))
    if key == "networks":
        return ClusterPolicyPeer(networks=_networks(peer))
    if key == "domainNames":
        if action != "Accept":
            peer.error(key, "only supported in Accept rules")
        return ClusterPolicyPeer(domain_names=_domain_names(peer))
    chosen = selector(peer, key) or LabelSelector()
    return ClusterPolicyPeer(namespaces=chosen) if key == "namespaces" else ClusterPolicyPeer(nodes=chosen)


def _namespaced_pods(fields: Fields) -> tuple[LabelSelector, LabelSelector]:
    pods = fields.inner("pods")
    pods.known(("namespaceSelector", "podSelector"))
    return selector(pods, "namespaceSelector") or LabelSelector(), selector(pods, "podSelector") or LabelSelector()


def _networks(peer: Fields) -> tuple[str, ...]:
    out = []
    for index, word in enumerate(peer.texts("networks")):
        cidr = network(word)
        if cidr is None:
            peer.reader.say("error", (*peer.path, "networks", index), f"{word!r} is not a valid CIDR")
        else:
            out.append(str(cidr))
    _sized(peer, "networks", len(out))
    return tuple(out)


def _domain_names(peer: Fields) -> tuple[str, ...]:
    out = peer.texts("domainNames")
    for index, word in enumerate(out):
        if not _DOMAIN.fullmatch(word):
            peer.reader.say("error", (*peer.path, "domainNames", index), f"{word!r} is not a domain name")
    _sized(peer, "domainNames", len(out))
    return tuple(out)


def _port(entry: Fields) -> ClusterPolicyPort:
    entry.known(("tcp", "udp", "sctp", "destinationNamedPort"))
    if len(entry.values) != 1:
        entry.error(None, "exactly one of tcp, udp, sctp and destinationNamedPort must be set")
        return ClusterPolicyPort()
    (key,) = entry.values
    if key == "destinationNamedPort":
        value = port_or_name(entry, key)
        if isinstance(value, int):
            entry.error(key, "must be a port's name")
        return ClusterPolicyPort(protocol=None, named=str(value))
    protocol = entry.inner(key)
    protocol.known(("destinationPort",))
    port = protocol.inner("destinationPort")
    port.known(("number", "range"))
    if len(port.values) != 1:
        port.error(None, "exactly one of number and range must be set")
    if "range" not in port:
        number = port.integer("number", 1, 65535)
        return ClusterPolicyPort(key.upper(), number, number)
    span = port.inner("range")
    span.known(("start", "end"))
    start, end = span.integer("start", 1, 65535), span.integer("end", 1, 65535)
    if start is None or end is None or start >= end:
        span.error(None, "start must be less than end, and both are required")
    return ClusterPolicyPort(key.upper(), start, end)


def _bounded(fields: Fields, key: str) -> list[Fields]:
    items = fields.items(key)
    if len(items) > MAX_ITEMS:
        fields.error(key, f"at most {MAX_ITEMS}")
    return items


def _sized(fields: Fields, key: str, count: int) -> None:
    if not 1 <= count <= MAX_ITEMS:
        fields.error(key, f"between 1 and {MAX_ITEMS} entries")
