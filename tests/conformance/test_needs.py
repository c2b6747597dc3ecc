"""What a lab must serve for a set of cases: exactly what they ask, and nothing that a policy could mean by name."""

from __future__ import annotations

from typing import Any

import pytest

from eastwest.lab.conformance.needs import gather, node_names
from eastwest.lab.conformance.wire import in_order
from eastwest.policy.conformance.case import CaseError, parse_case

NODES = ("node-1", "node-2", "node-3")


def case(name: str = "t", *cells: dict[str, Any], **more: Any) -> Any:
    return parse_case({"name": name, "steps": [{"expect": {"cells": list(cells)}}], **more}, "t.yaml")


def cell(src: str, dst: str, **more: Any) -> dict[str, Any]:
    return {"from": src, "to": dst, "allowed": True, **more}


def pod(name: str, node: str | None = None, port: int = 80) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": port, "name": "web"}]}]
    }
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "x", "labels": {"app": name}},
            "spec": spec | ({"nodeName": node} if node else {})}  # fmt: skip


def test_ports_that_are_asked_are_served_and_have_no_name() -> None:
    asked = case("t", cell("x/b", "x/a", port=5000, protocol="UDP"), cell("y/*", "x/c", port=80))
    needs = gather([asked])
    served = needs.as_lab_pod(asked.cluster[3], NODES, asked)
    ports = served["spec"]["containers"][0]["ports"]
    assert [p for p in ports if "name" not in p] == [{"containerPort": 5000, "protocol": "UDP"}]
    assert len(ports) == 7
    assert "5000" not in str(asked.cluster)  # the case itself stays as it was


def test_addresses_of_the_lab_are_not_outside() -> None:
    inside = ("10.96.0.10", "10.244.0.7", "fd00:10:244::7", "10.0.0.10", "203.0.113.4")
    needs = gather(
        [case("t", cell("192.0.2.7", "x/a"), *(cell("x/a", ip, port=80) for ip in (*inside, "2001:db8::9")))]
    )
    assert needs.outside == {"192.0.2.7", "2001:db8::9"}
    assert needs.outside_ports == {(80, p) for p in ("TCP", "UDP", "SCTP")}


def test_a_services_backends_serve_its_numbers_and_endpoints_are_outside() -> None:
    spec = {"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": 8080}, {"port": 81, "targetPort": "web"}]}
    service = {"kind": "Service", "metadata": {"name": "s", "namespace": "x"}, "spec": spec}
    subset = {"addresses": [{"ip": "192.0.2.5"}], "ports": [{"port": 5432}]}
    endpoints = {"kind": "Endpoints", "metadata": {"name": "db", "namespace": "x"}, "subsets": [subset]}
    given = case("t", cell("x/b", "svc:x/s"), cluster=[pod("a"), pod("b"), service, endpoints])
    needs = gather([given])
    ports = [p["containerPort"] for p in needs.as_lab_pod(pod("a"), NODES, given)["spec"]["containers"][0]["ports"]]
    assert ports == [80, 8080]
    assert needs.outside == {"192.0.2.5"}
    assert (5432, "TCP") in needs.outside_ports


def test_nodes_of_a_case_are_nodes_of_the_lab() -> None:
    given = case("t", cell("node:n2", "x/a", port=80), cell("x/a", "node:n2", port=10250, protocol="TCP"),
                 cluster=[{"kind": "Node", "metadata": {"name": "n2"}}, pod("a", "n1")])  # fmt: skip
    assert node_names(given, NODES) == {"n1": "node-1", "n2": "node-2"}
    needs = gather([given])
    assert needs.as_lab_pod(given.cluster[1], NODES, given)["spec"]["nodeName"] == "node-1"
    assert needs.node_ports == {(10250, "TCP")}
    assert [p["spec"]["nodeName"] for p in needs.node_pods(NODES)] == list(NODES)
    host = {**pod("h", "n1", 10250), "spec": {**pod("h", "n1", 10250)["spec"], "hostNetwork": True}}
    assert gather([given, case("u", cluster=[host])]).node_ports == set()  # it has a server already
    with pytest.raises(CaseError, match="needs 2 nodes, this lab has 1"):
        node_names(given, NODES[:1])


def test_cases_with_the_same_pods_stand_together() -> None:
    cases = [case("a"), case("b", cluster=[pod("a")]), case("c"), case("d", cluster=[pod("a")]), case("e")]
    assert [c.name for c in in_order(cases)] == ["a", "c", "e", "b", "d"]
