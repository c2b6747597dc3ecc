"""What a table of cells cannot say: path MTU under policies, and outside traffic through both external traffic policies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eastwest.cli._enforced import InForce, enforce_everything
from eastwest.cli._stack import Plan, Stack
from eastwest.lab.runtime import Lab

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

Json = dict[str, Any]
SHOPPER, STRANGER = "192.0.2.9", "192.0.2.77"
PROTOCOLS = ("TCP", "UDP", "SCTP")


def pod(name: str, node: str, *ports: int) -> Json:
    served = [{"containerPort": port, "protocol": protocol} for port in ports for protocol in PROTOCOLS]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "trap", "labels": {"app": name}},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i", "ports": served}]}}  # fmt: skip


def service(name: str, policy: str) -> Json:
    ports = [{"name": p.lower(), "port": 80, "targetPort": 8080, "protocol": p} for p in PROTOCOLS]
    spec = {"type": "NodePort", "selector": {"app": "web"}, "externalTrafficPolicy": policy, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "trap"}, "spec": spec}


def policy(name: str, app: str, **spec: Any) -> Json:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "trap"},
            "spec": {"podSelector": {"matchLabels": {"app": app}}, **spec}}  # fmt: skip


class Trap:
    """A product that enforces, and what is in force in it."""

    def __init__(self, stack: Stack) -> None:
        assert stack.lab is not None
        self.lab: Lab = stack.lab
        self._in_force = InForce(stack)

    def apply(self, *objects: Json) -> None:
        """Returns when it is in force."""
        self.lab.apply_objects(objects)
        self.lab.settle()
        self._in_force(self.lab.changed_ns())

    def delete(self, *names: str) -> None:
        for name in names:
            self.lab.delete("NetworkPolicy", "trap", name)
        self._in_force(self.lab.changed_ns())

    def address(self, name: str, family: int) -> str:
        found = next(p for p in self.lab.objects("Pod") if p["metadata"]["name"] == name)
        return str(found["status"]["podIPs"][0 if family == 4 else 1]["ip"])

    def node_port(self, name: str, protocol: str) -> int:
        found = next(s for s in self.lab.objects("Service") if s["metadata"]["name"] == name)
        return next(int(p["nodePort"]) for p in found["spec"]["ports"] if p["protocol"] == protocol)

    def reaches(self, source: str, node: str, name: str) -> set[str]:
        """The protocols in which `source` outside reaches the Service's node port on a node."""
        cells = [(source, f"node:{node}", self.node_port(name, p), p, 4) for p in PROTOCOLS]
        return {r.protocol for r in self.lab.probe_many(cells, 0.8) if r.reachable}


@pytest.fixture(scope="module")
def trap(short_folder: Path) -> Iterator[Trap]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASTWEST_RUN_DIR", str(short_folder))
        with Stack(Plan([], name=f"trap{os.getpid() % 100000}", listen="127.0.0.1:0", enforce=True)) as stack:
            enforce_everything(stack)
            made = Trap(stack)
            made.lab.outside([SHOPPER, STRANGER], [])
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "trap"}}
            made.apply(namespace, pod("client", "node-1", 9), pod("web", "node-2", 8080),
                       service("open", "Cluster"), service("near", "Local"))  # fmt: skip
            yield made


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("narrow", "mtu"), [("node:node-2", 1320), ("trap/web", 1300)])  # a sender remembers: narrower
def test_path_mtu_works_where_only_tcp_is_allowed(trap: Trap, narrow: str, mtu: int, family: int) -> None:
    """No rule lets ICMP in or out: "too big" belongs to the allowed connection, whoever sends it."""
    ports = [{"port": 8080, "protocol": "TCP"}]
    to_web, from_client = ({"podSelector": {"matchLabels": {"app": app}}} for app in ("web", "client"))
    trap.apply(
        policy("client", "client", policyTypes=["Ingress", "Egress"], egress=[{"to": [to_web], "ports": ports}]),
        policy("web", "web", policyTypes=["Ingress", "Egress"], ingress=[{"from": [from_client], "ports": ports}]),
    )
    assert not trap.lab.probe("trap/client", "trap/web/ICMP", family).reachable
    held = trap.lab.hold("trap/client", "trap/web:8080/TCP", family, size_bytes=20_000)
    try:
        assert held.alive()
        trap.lab.fault(narrow, mtu=mtu)
        assert held.alive(5)
        assert (
            f"mtu {mtu}" in trap.lab.exec("trap", "client", ["ip", "route", "get", trap.address("web", family)]).stdout
        )
        assert trap.lab.hold("trap/client", "trap/web:8080/TCP", family, size_bytes=20_000).alive(5)
    finally:
        trap.lab.fault(clear=True)
        held.end()
        trap.delete("client", "web")


def test_outside_traffic_is_not_the_own_nodes_although_it_wears_its_address(trap: Trap) -> None:
    """externalTrafficPolicy Cluster: the pod on node-2 sees node-2's own address, and conntrack knows the stranger."""
    assert trap.reaches(STRANGER, "node-2", "open") == set(PROTOCOLS)
    assert trap.reaches(STRANGER, "node-1", "open") == set(PROTOCOLS)
    trap.apply(policy("shut", "web", policyTypes=["Ingress"]))
    assert trap.reaches(STRANGER, "node-2", "open") == set()
    assert trap.reaches(STRANGER, "node-1", "open") == set()  # here it sees another node
    assert trap.lab.probe("node:node-2", "trap/web:8080/TCP").reachable  # the kubelet
    trap.apply(policy("shut", "web", ingress=[{"from": [{"ipBlock": {"cidr": f"{SHOPPER}/32"}}]}]))
    assert trap.reaches(SHOPPER, "node-2", "open") == set(PROTOCOLS)
    assert trap.reaches(STRANGER, "node-2", "open") == set()
    assert trap.reaches(SHOPPER, "node-1", "open") == set()  # masqueraded elsewhere: node-1 is who comes
    node = trap.lab.node("node-1").ips[0]
    trap.apply(policy("shut", "web", ingress=[{"from": [{"ipBlock": {"cidr": f"{node}/32"}}]}]))
    assert trap.reaches(SHOPPER, "node-1", "open") == set(PROTOCOLS)
    assert trap.reaches(SHOPPER, "node-2", "open") == set()
    trap.delete("shut")


def test_outside_traffic_keeps_its_address_under_the_local_policy(trap: Trap) -> None:
    trap.apply(policy("shut", "web", ingress=[{"from": [{"ipBlock": {"cidr": f"{SHOPPER}/32"}}]}]))
    assert trap.reaches(SHOPPER, "node-2", "near") == set(PROTOCOLS)
    assert trap.reaches(STRANGER, "node-2", "near") == set()
    trap.delete("shut")
    assert trap.reaches(STRANGER, "node-2", "near") == set(PROTOCOLS)


def test_node_local_dns_is_the_own_nodes_although_nobody_tracks_it(trap: Trap) -> None:
    """Its address appears on the node while the agent runs, and its packets have no conntrack entry to decide by."""
    address = trap.lab.node_local_dns()
    trap.apply(policy("shut", "client", policyTypes=["Ingress", "Egress"]))
    try:
        asked = [("trap/client", address, 53, protocol, 4) for protocol in ("TCP", "UDP")]
        assert {r.protocol for r in trap.lab.probe_many(asked) if r.reachable} == {"TCP", "UDP"}
        assert not trap.lab.probe("trap/client", "svc:kube-system/kube-dns:53/UDP", timeout=0.8).reachable
    finally:
        trap.delete("shut")
