"""A port of a node is a host-network pod's: as its node's agent saw the socket, else as the pod declares it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from eastwest.collector.enrich import Enricher
from eastwest.k8s.inventory import Inventory
from eastwest.k8s.raw import RawObject
from eastwest.k8s.sources import Event
from eastwest.model.flow import ip_bytes
from k8s.factories_k8s import SECOND, added, deleted, node, pod, service

UI, DB, NODE = "10.1.0.1", "10.1.0.2", "192.168.0.1"
LOCAL_DNS, KUBE_DNS, OTHER = "169.254.20.10", "10.96.0.10", "192.168.0.2"


def host(name: str, *ports: int, protocol: str = "TCP", on: str = "n1", ip: str = NODE) -> RawObject:
    made = pod(name, ip, host=True)
    made.body["spec"]["nodeName"] = on
    made.body["spec"]["containers"] = [
        {"name": "a", "ports": [{"containerPort": p, "protocol": protocol} for p in ports]}
    ]
    return made


def row(src: str, dst: str, **columns: Any) -> dict[str, Any]:
    times = {"first_seen_ns": 100 * SECOND, "last_seen_ns": 105 * SECOND}
    return {"src_ip": ip_bytes(src), "dst_ip": ip_bytes(dst), **times, **columns}


def table(*rows: dict[str, Any]) -> pa.Table:
    types = {"src_ip": pa.binary(16), "dst_ip": pa.binary(16), "dst_port": pa.uint16(), "protocol": pa.uint8(),
             "pod_uid": pa.string()}  # fmt: skip
    made = pa.Table.from_pylist(list(rows))
    for name in set(types) & set(made.column_names):
        made = made.set_column(made.column_names.index(name), name, made[name].cast(types[name]))
    return made


def cluster(*more: Event) -> Enricher:
    made = Inventory()
    made.fold([
        added(node("n1", NODE), 0), added(node("n2", OTHER), 0), added(pod("ui", UI), 10), added(pod("db", DB), 10),
        added(service("kube-dns", KUBE_DNS, ports=(53,)), 0), added(host("exporter", 9100), 20), *more,
    ])  # fmt: skip
    for name in ("n1", "n2"):
        made.learn_node_addresses(name, (NODE if name == "n1" else OTHER, LOCAL_DNS, KUBE_DNS))
    return Enricher(made)


def to(address: str, port: int, protocol: int = 6, **more: Any) -> dict[str, Any]:
    return row(UI, address, dst_port=port, protocol=protocol, node="n1", pod_uid="uid-ui", reporter="client") | more


def near(address: str, port: int, uid: str | None, protocol: int = 6, on: str = "n1") -> dict[str, Any]:
    """What the node's own agent says of a server on it."""
    return row(UI, address, dst_port=port, protocol=protocol, node=on, pod_uid=uid, reporter="server")


def told(enricher: Enricher, *rows: dict[str, Any]) -> list[tuple[Any, ...]]:
    names = ("dst_kind", "dst_workload", "dst_pod", "dst_node", "dst_named_by")
    return [tuple(r[n] for n in names) for r in enricher.enrich(table(*rows)).to_pylist()]


A_NODE = ("node", None, None, "n1", "node_ip")


def test_as_it_declares() -> None:
    assert told(cluster(), to(NODE, 9100), to(NODE, 9100, 17), to(NODE, 22), to(OTHER, 9100)) == [
        ("pod", "exporter", "exporter", "n1", "host_port"), A_NODE, A_NODE, ("node", None, None, "n2", "node_ip"),
    ]  # fmt: skip


def test_as_its_nodes_agent_saw_it_for_others_in_the_same_batch_and_later() -> None:
    enricher = cluster(added(host("proxy"), 20))
    assert told(enricher, to(NODE, 8443)) == [A_NODE]
    assert (
        told(enricher, near(NODE, 8443, "uid-proxy"), to(NODE, 8443))
        == [
            ("pod", "proxy", "proxy", "n1", "host_socket"),
        ]
        * 2
    )
    assert told(enricher, to(NODE, 8443)) == [("pod", "proxy", "proxy", "n1", "host_socket")]
    assert told(enricher, to(OTHER, 8443)) == [("node", None, None, "n2", "node_ip")]


def test_a_socket_counts_more_than_a_claim() -> None:
    enricher = cluster(added(host("proxy"), 20))
    assert told(enricher, near(NODE, 9100, "uid-proxy"), to(NODE, 9100))[1] == (
        "pod", "proxy", "proxy", "n1", "host_socket",
    )  # fmt: skip


def test_two_claims_at_once_leave_the_node_and_say_so() -> None:
    enricher = cluster(added(host("impostor", 9100), 30))
    assert told(enricher, to(NODE, 9100)) == [("node", None, None, "n1", "host_port_shared")]


@pytest.mark.parametrize(("ended_s", "found"), [(50, "exporter-2"), (200, None)])
def test_a_successor_takes_over_the_port(ended_s: int, found: str | None) -> None:
    enricher = cluster(deleted(host("exporter", 9100), ended_s), added(host("exporter-2", 9100), 60))
    assert told(enricher, to(NODE, 9100))[0][2] == found  # the record is of 100 to 105 s


def test_what_the_node_says_of_its_own_tcp_socket_stands() -> None:
    assert told(cluster(), near(NODE, 9100, None))[0] == A_NODE
    enricher = cluster(added(host("dns", 53, protocol="UDP"), 20))
    assert told(enricher, near(NODE, 53, None, 17))[0][4] == "host_port"  # datagrams nobody answered may be anybody's


def test_node_local_dns_is_the_pod_of_ones_own_node() -> None:
    enricher = cluster(
        added(host("dns-1", 53, protocol="UDP"), 20), added(host("dns-2", 53, protocol="UDP", on="n2", ip=OTHER), 20)
    )
    ask = [to(LOCAL_DNS, 53, 17), to(LOCAL_DNS, 53, 17, node="n2")]
    assert [t[2:4] for t in told(enricher, *ask)] == [("dns-1", "n1"), ("dns-2", "n2")]
    assert told(enricher, to(LOCAL_DNS, 80)) == [A_NODE]


def test_a_service_address_on_the_node_is_a_pod_only_where_its_socket_was_seen() -> None:
    enricher = cluster(added(host("dns-1", 53, protocol="UDP"), 20))
    assert told(enricher, to(KUBE_DNS, 53, 17))[0][0] == "service"
    assert told(enricher, near(KUBE_DNS, 53, "uid-dns-1", 17), to(KUBE_DNS, 53, 17))[1][2:] == (
        "dns-1",
        "n1",
        "host_socket",
    )
    assert told(enricher, to(KUBE_DNS, 53, 17, node="n2"))[0][0] == "service"


def test_the_reporting_pod_is_said_to_be_known_by_its_socket() -> None:
    enricher = cluster()
    one = row(NODE, DB, dst_port=5432, node="n1", protocol=6, pod_uid="uid-exporter", reporter="client")
    (named,) = enricher.enrich(table(one)).to_pylist()
    assert (named["src_pod"], named["src_named_by"], named["category"]) == ("exporter", "host_socket", "intra_zone")


def test_without_the_reporting_node_or_the_protocol_addresses_still_name() -> None:
    one = {k: v for k, v in to(NODE, 9100).items() if k not in ("node", "protocol")}
    assert told(cluster(), one) == [A_NODE]
