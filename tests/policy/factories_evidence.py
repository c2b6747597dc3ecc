"""A cluster and its traffic in a few words: `Shop().talk("ui", "orders", 8080)`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eastwest.model.cluster import ClusterState, ContainerPort, Namespace, Node, Pod, Service, ServicePort
from eastwest.model.flow import EndKind, Workload, ip_bytes, protocol_number
from eastwest.model.policy import LabelSelector, NetworkPolicy, NetworkPolicyRule
from eastwest.policy import Engine
from eastwest.policy.batch import decide_many
from eastwest.policy.evidence import Evidence, Outsider, Side
from eastwest.policy.generate.generator import Generated, GenerateOptions, generate

SECOND = 1_000_000_000
NODES = (
    Node("n1", ips=("192.168.0.1",), pod_cidrs=("10.1.0.0/24",)),
    Node("n2", ips=("192.168.0.2",), pod_cidrs=("10.1.1.0/24",)),
)


def labelled(**labels: str) -> dict[str, str]:
    return dict(sorted(labels.items()))


@dataclass
class Talk:
    """One distinct connection. Ends: a pod's name, `node:NAME`, `svc:NAME`, or an address."""

    src: str
    dst: str
    port: int
    protocol: str = "TCP"
    connections: int = 10
    established: bool = True
    directed: bool = True
    service_port: int = 0
    first_ns: int = 100 * SECOND
    last_ns: int = 200 * SECOND


@dataclass
class Shop:
    """Pods, services and what they said."""

    pods: list[Pod] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    talks: list[Talk] = field(default_factory=list)
    nodes: tuple[Node, ...] = NODES
    watched: dict[Workload, Any] = field(default_factory=dict)

    def run(
        self, name: str, labels: Mapping[str, str] | None = None, *, selector: Mapping[str, str] | None = None,
        namespace: str = "shop", kind: str = "Deployment", workload: str | None = None, node: str = "n1", **changes: Any,
    ) -> Shop:  # fmt: skip
        """Add a pod; labels default to app=<name>, the owner's selector to the labels."""
        labels = {"app": name} if labels is None else labels
        index = len(self.pods) + 1
        pod = Pod(
            namespace, name, Workload(namespace, kind, workload or name), uid=f"u{index}", labels=labels,
            ips=(f"10.1.{int(node[1:]) - 1}.{index}", f"fd00:{int(node[1:]) - 1}::{index:x}"), node=node, phase="Running",
            selector=labels if selector is None and kind != "Pod" else selector,
        )  # fmt: skip
        self.pods.append(replace(pod, **changes))
        return self

    def serve(
        self, name: str, port: int, target: int | str | None = None, *, protocol: str = "TCP", **changes: Any
    ) -> Shop:
        service = Service("shop", name, selector={"app": name}, cluster_ips=("10.96.0.1",),
                          ports=(ServicePort(port, protocol, target_port=target),))  # fmt: skip
        self.services.append(replace(service, **changes))
        return self

    def talk(self, src: str, dst: str, port: int, protocol: str = "TCP", **changes: Any) -> Shop:
        self.talks.append(Talk(src, dst, port, protocol, **changes))
        return self

    def cluster(self, policies: tuple[NetworkPolicy, ...] = ()) -> ClusterState:
        spaces = sorted({p.namespace for p in self.pods})
        return ClusterState(
            tuple(Namespace(n, {"kubernetes.io/metadata.name": n}) for n in spaces), self.nodes, tuple(self.pods),
            tuple(self.services), policies,
        )  # fmt: skip

    def evidence(self) -> Evidence:
        outsiders: list[Outsider] = []
        src, dst = ([self._end(getattr(t, side), outsiders) for t in self.talks] for side in ("src", "dst"))
        columns = {n: [getattr(t, n) for t in self.talks] for n in Talk.__dataclass_fields__}
        return Evidence(
            _side(src), _side(dst),
            np.array([protocol_number(p) for p in columns["protocol"]], np.uint8),
            np.array(columns["port"], np.uint16), np.array(columns["service_port"], np.uint16),
            np.array(columns["connections"], np.int64), np.array(columns["established"], bool),
            np.array(columns["directed"], bool), np.array(columns["first_ns"], np.int64),
            np.array(columns["last_ns"], np.int64), tuple(outsiders), len(self.talks), 0, 1000 * SECOND,
        )  # fmt: skip

    def _end(self, text: str, outsiders: list[Outsider]) -> tuple[int, int, str]:
        for index, pod in enumerate(self.pods):
            if pod.name == text:
                return index, -1, pod.ips[0]
        kind, node, service, address = EndKind.UNKNOWN, None, None, text
        if text.startswith("node:"):
            kind, node = EndKind.NODE, text[5:]
            address = next(n.ips[0] for n in self.nodes if n.name == node)
        elif text.startswith("svc:"):
            kind, service, address = EndKind.SERVICE, ("shop", text[4:]), "10.96.0.1"
        elif not text.startswith(("10.", "192.168.", "169.254.", "fd")):
            kind = EndKind.INTERNET
        outsiders.append(Outsider(kind, address, node, service=service))
        return -1, len(outsiders) - 1, address

    def generate(self, **options: Any) -> Generated:
        return generate(self.cluster(), self.evidence(), self.watched, GenerateOptions(**options))

    def policy(self, name: str, namespace: str = "shop") -> NetworkPolicy:
        return next(p for p in self.generate().policies[namespace] if p.name == name)

    def denied(self, policies: tuple[NetworkPolicy, ...]) -> list[Talk]:
        """The established talks that a policy set would deny."""
        engine = Engine(self.cluster(policies))
        e = self.evidence()
        src, dst = (engine.ends.columns(s.pod, s.address) for s in (e.src, e.dst))
        allowed = decide_many(engine, src, dst, e.protocol, e.port).allowed
        return [t for t, ok in zip(self.talks, allowed, strict=True) if t.established and not ok]


def _side(ends: list[tuple[int, int, str]]) -> Side:
    pods, outsiders, addresses = ([end[i] for end in ends] for i in range(3))
    raw = np.frombuffer(b"".join(map(ip_bytes, addresses)), np.uint8).reshape(-1, 16)
    return Side(np.array(pods, np.int32), np.array(outsiders, np.int32), raw)


def all_policies(generated: Generated) -> tuple[NetworkPolicy, ...]:
    return tuple(p for found in generated.policies.values() for p in found)


def ports(rule: NetworkPolicyRule) -> list[tuple[str, int | str | None]]:
    return [(p.protocol, p.port) for p in rule.ports or ()]


def cidrs(rule: NetworkPolicyRule) -> list[str]:
    return [p.ip_block.cidr for p in rule.peers or () if p.ip_block]


def selects(rule: NetworkPolicyRule, **labels: str) -> bool:
    return any(p.pod_selector == LabelSelector(tuple(sorted(labels.items()))) for p in rule.peers or ())


__all__ = ["ContainerPort", "Shop", "Talk", "all_policies", "cidrs", "labelled", "ports", "selects"]
