"""Lint of ports: names that nobody has, a Service's port in place of the pod's, DNS over UDP without TCP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from eastwest.model.cluster import Pod
from eastwest.model.flow import Direction
from eastwest.model.policy import NetworkPolicy, NetworkPolicyPort
from eastwest.policy.engine import Engine
from eastwest.policy.lint.findings import Finding, Path, on_policy, rules_of
from eastwest.policy.rules import Rule
from eastwest.policy.universe import Mask

DNS_PORTS = (53, 5353)
UDP, TCP = 17, 6


def check(engine: Engine) -> Iterator[Finding]:
    """named-port-unknown, service-port, dns-without-tcp, dns-blocked."""
    compiled = {(p.policy, p.direction): p for p in engine.policies}
    for policy in engine.universe.cluster.network_policies:
        for direction, index, rule, path in rules_of(policy):
            own = compiled[f"{policy.namespace}/{policy.name}", direction]
            pods = own.subject if direction is Direction.INGRESS else _pods(engine, own.rules[index])
            destinations = [engine.universe.pods[i] for i in np.flatnonzero(pods)]
            for i, port in enumerate(rule.ports or ()):
                yield from _port(engine, policy, port, destinations, (*path, "ports", i, "port"))
    yield from _dns(engine)


def _pods(engine: Engine, rule: Rule) -> Mask:
    """The pods among a rule's peers, in either family."""
    member, of_pod = engine.identities.member[rule.peers], engine.identities.of_pod
    out: Mask = (member[of_pod[4]] | member[of_pod[6]]) & engine.universe.live
    return out


def _port(
    engine: Engine, policy: NetworkPolicy, port: NetworkPolicyPort, pods: list[Pod], path: Path
) -> Iterator[Finding]:
    if not pods:
        return
    if isinstance(port.port, str):
        if not any(c.name == port.port and c.protocol == port.protocol for p in pods for c in p.ports):
            there = sorted({f"{c.name} ({c.protocol} {c.port})" for p in pods for c in p.ports if c.name})
            message = f"no destination pod has a {port.protocol} port named {port.port!r}: it matches nothing"
            fix = f"use a number, or one of: {', '.join(there[:6])}" if there else "use a port number"
            yield on_policy(policy, "named-port-unknown", message, fix, path)
    elif port.port is not None and port.end_port in (None, port.port):
        yield from _service_port(engine, policy, port.port, port.protocol, pods, path)


def _service_port(
    engine: Engine, policy: NetworkPolicy, port: int, protocol: str, pods: list[Pod], path: Path
) -> Iterator[Finding]:
    """A port that no destination declares, and that is a Service's port for another target port."""
    if any(c.port == port and c.protocol == protocol for p in pods for c in p.ports):
        return
    for service in engine.universe.cluster.services:
        mine = [p for p in pods if p.namespace == service.namespace and service.selector.items() <= p.labels.items()]
        for entry in service.ports if mine and service.selector else ():
            target = entry.target_port
            if (entry.port, entry.protocol) == (port, protocol) and target not in (None, port):
                name = f"{service.namespace}/{service.name}"
                message = f"{protocol} {port} is the port of Service {name}; its pods listen on {target!r}, which policies see"
                yield on_policy(policy, "service-port", message, f"use the pods' port: {target}", path)


def _dns(engine: Engine) -> Iterator[Finding]:
    """UDP without TCP per rule; and pods with egress rules of which none lets them ask any resolver."""
    written = {f"{p.namespace}/{p.name}": p for p in engine.universe.cluster.network_policies}
    for number, table in enumerate(engine.tables[Direction.EGRESS]):
        asks = [r for r in table.network_policy if _allows(r, UDP)]
        if not table.isolated_by or not table.network_policy:
            continue
        if not asks and not any(r.action == "Accept" and _allows(r, UDP) for r in table.admin):
            policy = written[table.network_policy[0].policy]
            who = _workloads(engine, number)
            message = f"{who} may not ask DNS: no egress rule allows UDP 53"
            fix = "allow UDP and TCP 53 to the cluster's resolver (kube-system, k8s-app=kube-dns, or its node-local address)"
            yield on_policy(policy, "dns-blocked", message, fix, ("spec", "egress"))
        covered = _union(engine, (r for r in table.network_policy if _allows(r, TCP)))
        for rule in asks:
            if (engine.identities.member[rule.peers] & ~covered).any():
                yield on_policy(
                    written[rule.policy],
                    "dns-without-tcp",
                    f"egress rule {rule.index} allows DNS over UDP only: answers over 512 bytes and retries need TCP 53",
                    "add {protocol: TCP, port: 53} beside the UDP port",
                    ("spec", "egress", rule.index),
                )


def _allows(rule: Rule, protocol: int) -> bool:
    return any(rule.ports.numbers.contains(protocol, port) for port in DNS_PORTS)


def _union(engine: Engine, rules: Iterable[Rule]) -> Mask:
    out = np.zeros(len(engine.identities), np.bool_)
    for rule in rules:
        out |= engine.identities.member[rule.peers]
    return out


def _workloads(engine: Engine, table: int) -> str:
    pods = np.flatnonzero(engine.table_of_pod[Direction.EGRESS] == table)
    names = sorted({f"{engine.universe.pods[i].namespace}/{engine.universe.pods[i].workload.name}" for i in pods})
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
