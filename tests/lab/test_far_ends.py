"""Packets that begin or end outside pods, Services with endpoints by hand, node labels, and connections kept open."""

from __future__ import annotations

import time

import pytest

from eastwest.lab.runtime import Lab
from eastwest.lab.state import LabError

pytestmark = pytest.mark.root
PROTOCOLS = ("TCP", "UDP", "SCTP")
PORTS = {"TCP": 8080, "UDP": 7000, "SCTP": 38412}


@pytest.fixture(scope="module")
def away(lab: Lab) -> tuple[str, str]:
    """Addresses of one host outside, in both families, that serves port 5432."""
    found = "192.0.2.9", "2001:db8:9::9"
    lab.outside(found, [(5432, p) for p in PROTOCOLS])
    return found


def test_a_pod_reaches_a_host_outside_and_is_reached_by_it(lab: Lab, away: tuple[str, str]) -> None:
    out = [("shop/client", address, 5432, p, 6 if ":" in address else 4) for address in away for p in PROTOCOLS]
    back = [(address, "shop/web", PORTS[p], p, 6 if ":" in address else 4) for address in away for p in PROTOCOLS]
    ping = [(address, "shop/web", 0, "ICMP", 6 if ":" in address else 4) for address in away]
    assert [r for r in lab.probe_many([*out, *back, *ping]) if not r.reachable] == []
    assert lab.probe("shop/client", f"{away[0]}:5433/TCP").reason == "refused"
    with pytest.raises(LabError, match="is not outside"):
        lab.outside(["10.244.0.77"], [])


def test_a_node_is_an_origin_of_its_own(lab: Lab) -> None:
    cells = [("node:node-2", "shop/web", PORTS[p], p, family) for p in PROTOCOLS for family in (4, 6)]
    assert [r for r in lab.probe_many(cells) if not r.reachable] == []
    assert lab.probe("node:node-1", "node:node-2/ICMP", 6).reachable
    with pytest.raises(LabError, match="no node 'node-9'"):
        lab.probe("node:node-9", "shop/web:8080/TCP")


def test_a_service_without_selector_has_the_endpoints_it_is_given(lab: Lab, away: tuple[str, str]) -> None:
    name = {"name": "db", "namespace": "shop"}
    port = {"port": 80, "targetPort": 5432}
    subset = {"addresses": [{"ip": away[0]}], "ports": [{"port": 5432}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": {"ports": [port]}}
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": name, "subsets": [subset]}
    lab.apply_objects([service, endpoints])
    lab.settle()
    assert lab.probe("shop/client", "svc:shop/db:80/TCP").reachable
    lab.delete("Endpoints", "shop", "db")
    lab.settle()
    assert lab.probe("shop/client", "svc:shop/db:80/TCP").reason == "refused"
    lab.delete("Service", "shop", "db")


def test_only_labels_of_a_node_can_change(lab: Lab) -> None:
    def labels() -> dict[str, str]:
        return next(n["metadata"]["labels"] for n in lab.objects("Node") if n["metadata"]["name"] == "node-1")

    before = labels()
    lab.apply_objects([{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "labels": {"pool": "a"}}}])
    assert labels() == {**before, "pool": "a"}
    lab.apply_objects([{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}])
    assert labels() == before
    with pytest.raises(LabError, match="makes its nodes itself"):
        lab.apply_objects([{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-7"}}])
    with pytest.raises(LabError, match="keeps its nodes"):
        lab.delete("Node", "", "node-1")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("family", [4, 6])
def test_a_held_connection_knows_when_it_is_cut_and_when_it_goes_on(lab: Lab, protocol: str, family: int) -> None:
    held = lab.hold("shop/client", f"shop/web:{PORTS[protocol]}/{protocol}", family, size_bytes=1000)
    try:
        assert held.alive()
        assert held.report().opened
        lab.fault("shop/client", loss=100)
        cut = time.monotonic()
        assert not held.alive(0.5)
        lab.fault(clear=True)
        assert held.alive(5)
        report = held.report()
        assert 0.4 < report.longest_stall_s < time.monotonic() - cut + 0.5
        assert report.failure is None
    finally:
        lab.fault(clear=True)
        held.end()


def test_a_held_connection_that_nobody_takes_says_why(lab: Lab) -> None:
    for protocol in PROTOCOLS:
        held = lab.hold("shop/client", f"shop/web:9/{protocol}")
        assert not held.report().opened
        assert (held.report().failure or "").startswith("refused")
        held.end()
    with pytest.raises(LabError, match="no held connection"):
        held.report()


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("narrow", ["pod", "node"])
def test_a_smaller_mtu_is_told_by_who_forwards(lab: Lab, narrow: str, family: int) -> None:
    """The connection's segments are too big from one moment to the next; it goes on because the sender is told."""
    client = next(p for p in lab.objects("Pod") if p["metadata"]["labels"].get("app") == "client")
    web = next(p for p in lab.objects("Pod") if p["metadata"]["labels"].get("app") == "web"
               and p["spec"]["nodeName"] != client["spec"]["nodeName"])  # fmt: skip
    target = f"shop/{web['metadata']['name']}" if narrow == "pod" else f"node:{web['spec']['nodeName']}"
    held = lab.hold("shop/client", f"shop/{web['metadata']['name']}:8080/TCP", family, size_bytes=20_000)
    try:
        assert held.alive()
        lab.fault(target, mtu=1280)
        assert held.alive(5)
        route = ["ip", f"-{family}", "route", "get", web["status"]["podIPs"][0 if family == 4 else 1]["ip"]]
        assert "mtu 1280" in lab.exec("shop", "client", route).stdout
    finally:
        lab.fault(clear=True)
        held.end()
    with pytest.raises(LabError, match="1280"):
        lab.fault(target, mtu=1000)
