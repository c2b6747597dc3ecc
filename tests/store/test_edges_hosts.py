"""A host-network pod has its node's address: its own node's agent names it, the other end's does not, and one edge it is."""

from __future__ import annotations

from typing import Any

import pytest

from eastwest.store.protocol import Store
from eastwest.store.questions import Range
from store.factories_flows import pod, record
from store.test_edges import NARROW, WIDE, edges

NODE, PEER = "192.168.0.1", "10.0.1.1"
DB_SRC, DB = pod("src", "shop", "db", ip=PEER, node="node-b"), pod("dst", "shop", "db", ip=PEER, node="node-b")


def host(side: str, workload: str, n: int = 1, how: str = "host_socket") -> dict[str, Any]:
    return pod(side, "system", workload, n, ip=NODE, named_by=how)


def node(side: str) -> dict[str, Any]:
    return {f"{side}_kind": "node", f"{side}_node": "node-a", f"{side}_ip": NODE, f"{side}_named_by": "node_ip",
            f"{side}_zone": "zone-a"}  # fmt: skip


def names(found: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    return {(e["src_workload"] or e["src_kind"], e["dst_workload"] or e["dst_kind"], e["reporter"]) for e in found}


def served(src: dict[str, Any], dst: dict[str, Any], **more: Any) -> dict[str, Any]:
    return record(src, dst, reporter="server", bytes_forward=101, **more)


@pytest.fixture(params=[NARROW, WIDE], ids=["records", "minutes"])
def range_(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_as_a_client_it_is_one_edge(store: Store, range_: Range) -> None:
    denied = {"policy_allowed": 0, "policy_denied": 3, "policy_would_deny": 0, "denied_by": "x"}
    (edge,) = edges(
        store, range_, record(host("src", "prometheus"), DB, category="inter_zone"),
        served(node("src"), DB, category="node", **denied),
    )  # fmt: skip
    assert names([edge]) == {("prometheus", "db", "client")}
    assert (edge["bytes_forward"], edge["policy_denied"], edge["category"]) == (100, 3, "inter_zone")


def test_as_a_server_it_is_one_edge_also_when_the_client_did_not_know_it_yet(store: Store, range_: Range) -> None:
    (edge,) = edges(
        store, range_, record(DB_SRC, node("dst"), category="node"),
        served(DB_SRC, host("dst", "exporter"), category="inter_zone"),
    )  # fmt: skip
    assert names([edge]) == {("db", "exporter", "client")}
    assert (edge["dst_pod"], edge["dst_named_by"], edge["category"]) == ("exporter-1", "host_socket", "inter_zone")


def test_several_pods_of_a_node_and_the_node_itself_are_edges_of_their_own(store: Store, range_: Range) -> None:
    found = edges(
        store, range_, record(host("src", "prometheus"), DB), record(host("src", "proxy"), DB), record(node("src"), DB),
        served(node("src"), DB),
    )  # fmt: skip
    assert names(found) == {("prometheus", "db", "client"), ("proxy", "db", "client"), ("node", "db", "client")}
    assert [e["bytes_forward"] for e in found] == [100] * 3


def test_what_the_server_cannot_tell_apart_is_not_counted_again(store: Store, range_: Range) -> None:
    found = edges(
        store, range_, record(host("src", "prometheus"), DB), record(host("src", "proxy"), DB),
        served(node("src"), DB),
    )  # fmt: skip
    assert names(found) == {("prometheus", "db", "client"), ("proxy", "db", "client")}


def test_without_the_nodes_own_report_the_node_is_the_client(store: Store, range_: Range) -> None:
    assert names(edges(store, range_, served(node("src"), DB))) == {("node", "db", "server")}


def test_what_a_pod_declares_names_the_nodes_report_too(store: Store, range_: Range) -> None:
    found = edges(store, range_, record(DB_SRC, host("dst", "exporter", how="host_port")), served(DB_SRC, node("dst")))
    assert names(found) == {("db", "exporter", "client")}


def test_pods_of_one_workload_on_one_port_after_each_other(store: Store, range_: Range) -> None:
    found = edges(
        store, range_, record(DB_SRC, node("dst")), served(DB_SRC, host("dst", "exporter", 1)),
        served(DB_SRC, host("dst", "exporter", 2), last_seen_ns=range_.end_ns - 1),
    )  # fmt: skip
    assert sum(e["bytes_forward"] for e in found if e["dst_pod"] == "exporter-2") == 100
    assert {e["dst_workload"] for e in found} == {"exporter"}


def test_between_two_nodes_both_ends_are_named(store: Store, range_: Range) -> None:
    other = {"dst_kind": "node", "dst_ip": PEER, "dst_node": "node-b", "dst_named_by": "node_ip"}
    exporter = pod("dst", "system", "exporter", ip=PEER, node="node-b", named_by="host_socket")
    found = edges(store, range_, record(host("src", "prometheus"), other), served(node("src"), exporter))
    assert names(found) == {("prometheus", "exporter", "client")}
