"""NetworkPolicy v1 objects to typed policies: the API server's defaults and its validation, nothing more.

A policy the API server would refuse is an error and is left out, because no cluster would ever enforce it.
"""

from __future__ import annotations

import re
from typing import Final

from eastwest.k8s.fields import Fields, Reader, network
from eastwest.k8s.raw import valid_name
from eastwest.k8s.selectors import selector
from eastwest.model.policy import (
    IpBlock,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
)

PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
POLICY_TYPES: Final = ("Ingress", "Egress")
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")


def network_policy(reader: Reader) -> NetworkPolicy | None:
    """The policy with policyTypes defaulted; None (and problems) where the API server would refuse it."""
    raw = reader.raw
    top = reader.top()
    if not valid_name(raw.name):
        reader.say("error", ("metadata", "name"), f"{raw.name!r} is not a valid name")
    if "spec" not in top:
        reader.say("warning", (), "no spec: it selects every pod of the namespace and allows no ingress")
    spec = top.inner("spec")
    spec.known(("podSelector", "policyTypes", "ingress", "egress"))
    ingress = tuple(_rule(rule, "from") for rule in spec.items("ingress"))
    egress = tuple(_rule(rule, "to") for rule in spec.items("egress"))
    policy = NetworkPolicy(
        namespace=raw.namespace or "default",
        name=raw.name,
        pod_selector=selector(spec, "podSelector") or LabelSelector(),
        policy_types=_policy_types(spec, bool(egress)),
        ingress=ingress,
        egress=egress,
        annotations=top.inner("metadata").mapping("annotations"),
        file=raw.file,
        line=raw.line,
    )
    return None if reader.failed else policy


def _policy_types(spec: Fields, has_egress: bool) -> tuple[str, ...]:
    """networking/v1 SetDefaults_NetworkPolicy: Ingress always, Egress only when there are egress rules."""
    given = spec.texts("policyTypes")
    for index, word in enumerate(given):
        if word not in POLICY_TYPES:
            spec.reader.say("error", (*spec.path, "policyTypes", index), f"{word!r} is not Ingress or Egress")
    if len(given) > len(POLICY_TYPES):
        spec.error("policyTypes", "at most two")
    if not given:
        return POLICY_TYPES if has_egress else POLICY_TYPES[:1]
    return tuple(word for word in POLICY_TYPES if word in given)


def _rule(rule: Fields, ends: str) -> NetworkPolicyRule:
    rule.known((ends, "ports"))
    peers = tuple(_peer(peer) for peer in rule.items(ends))
    ports = tuple(_port(port) for port in rule.items("ports"))
    return NetworkPolicyRule(peers or None, ports or None)


def _peer(peer: Fields) -> NetworkPolicyPeer:
    peer.known(("podSelector", "namespaceSelector", "ipBlock"))
    pods, namespaces = selector(peer, "podSelector"), selector(peer, "namespaceSelector")
    block = _ip_block(peer.inner("ipBlock")) if "ipBlock" in peer else None
    if block is not None and (pods is not None or namespaces is not None):
        peer.error(None, "may not specify both ipBlock and another peer")
    if block is None and pods is None and namespaces is None and "ipBlock" not in peer:
        peer.error(None, "must specify a peer: podSelector, namespaceSelector or ipBlock (an empty selector is {})")
    return NetworkPolicyPeer(pods, namespaces, block)


def _ip_block(block: Fields) -> IpBlock | None:
    block.known(("cidr", "except"))
    text = block.text("cidr")
    cidr = network(text)
    if cidr is None:
        block.error("cidr", f"{text!r} is not a valid CIDR")
        return None
    excepted: list[str] = []
    for index, word in enumerate(block.texts("except")):
        inner = network(word)
        path = (*block.path, "except", index)
        if inner is None:
            block.reader.say("error", path, f"{word!r} is not a valid CIDR")
        elif inner.version != cidr.version or inner.network_address not in cidr or inner.prefixlen <= cidr.prefixlen:
            block.reader.say("error", path, f"must be a strict subset of cidr {text!r}")
        else:
            excepted.append(str(inner))
    return IpBlock(str(cidr), tuple(excepted))


def _port(port: Fields) -> NetworkPolicyPort:
    port.known(("protocol", "port", "endPort"))
    protocol = port.choice("protocol", PROTOCOLS, "TCP")
    value = port_or_name(port, "port")
    end = port.integer("endPort", 1, 65535)
    if end is not None and "port" not in port:
        port.error("endPort", "may not be specified when port is not")
    elif end is not None and isinstance(value, str):
        port.error("endPort", "may not be specified when port is a name")
    elif end is not None and isinstance(value, int) and end < value:
        port.error("endPort", f"must be greater than or equal to port {value}")
    return NetworkPolicyPort(protocol, value, end)


def port_or_name(fields: Fields, key: str) -> int | str | None:
    """A port number or a port's name (IANA service name: 1 to 15 of a-z, 0-9, '-', with a letter)."""
    value = fields.values.get(key)
    if isinstance(value, str):
        if not _PORT_NAME.fullmatch(value):
            hint = " (a number needs no quotes)" if value.isdigit() else ""
            fields.error(key, f"{value!r} is not a valid port name{hint}")
        return value
    return fields.integer(key, 1, 65535)
