"""Naming the ends of records: by pod UID, by address and time, by Service, by published ranges, or not at all."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from eastwest.collector.enrich import NAMED_BY, Enricher, enrich
from eastwest.k8s.inventory import Inventory
from eastwest.k8s.sources import Event
from eastwest.model.flow import ip_bytes
from eastwest.model.schema import COLLECTOR_COLUMNS
from k8s.factories_k8s import SECOND, added, deleted, node, pod, service

UI, DB, NODE, VIP = "10.1.0.1", "10.1.0.2", "192.168.0.1", "10.96.0.1"


def cluster(*more: Event) -> Inventory:
    made = Inventory()
    made.fold(
        [
            added(node("n1", NODE), 0),
            added(pod("ui", UI, "fd00::1"), 10),
            added(pod("db", DB), 10),
            added(service("db-svc", VIP, ports=(5432,)), 0),
            *more,
        ]
    )
    return made


def row(src: str = UI, dst: str = DB, **columns: Any) -> dict[str, Any]:
    base = {"dst_port": 5432, "first_seen_ns": 100 * SECOND, "last_seen_ns": 105 * SECOND, "pod_uid": None,
            "reporter": "unknown", "service_ip": None, "service_port": None}  # fmt: skip
    if columns.get("service_ip"):
        columns["service_ip"] = ip_bytes(columns["service_ip"])
    return {"src_ip": ip_bytes(src), "dst_ip": ip_bytes(dst), **base, **columns}


def table(*rows: dict[str, Any]) -> pa.Table:
    types = {"src_ip": pa.binary(16), "dst_ip": pa.binary(16), "service_ip": pa.binary(16), "dst_port": pa.uint16(),
             "service_port": pa.uint16(), "pod_uid": pa.string()}  # fmt: skip
    made = pa.Table.from_pylist(list(rows))
    for name, wanted in types.items():
        if name in made.column_names:
            made = made.set_column(made.column_names.index(name), name, made[name].cast(wanted))
    return made


def named(one: dict[str, Any], *more: Event) -> dict[str, Any]:
    return enrich(table(one), cluster(*more)).to_pylist()[0]


def test_every_collector_column_is_there_and_nullable_ones_may_be_null() -> None:
    out = enrich(table(row()), cluster())
    for column in COLLECTOR_COLUMNS:
        field = out.schema.field(column.name)
        assert field.type == pa.string()
        assert column.nullable or out[column.name].null_count == 0


def test_both_ends_by_address() -> None:
    out = named(row())
    assert (out["src_kind"], out["src_namespace"], out["src_pod"], out["src_workload"], out["src_workload_kind"]) == (
        "pod", "shop", "ui", "ui", "Pod",
    )  # fmt: skip
    assert (out["dst_pod"], out["dst_node"], out["dst_zone"], out["dst_region"]) == ("db", "n1", "eu-1a", "eu-1")
    assert (out["src_named_by"], out["dst_named_by"]) == ("pod_ip", "pod_ip")
    assert (out["service"], out["service_namespace"], out["dst_aws_service"]) == (None,) * 3


@pytest.mark.parametrize(("reporter", "side"), [("client", "src"), ("server", "dst"), ("unknown", "src")])
def test_the_reporting_pod_is_named_by_its_uid_whatever_its_address(reporter: str, side: str) -> None:
    out = named(row("172.16.0.1", "172.16.0.2", pod_uid="uid-ui", reporter=reporter))
    other = "dst" if side == "src" else "src"
    assert (out[f"{side}_pod"], out[f"{side}_named_by"]) == ("ui", "pod_uid")
    assert (out[f"{other}_kind"], out[f"{other}_named_by"]) == ("unknown", "unknown")


def test_an_unknown_uid_falls_back_to_the_address() -> None:
    out = named(row(pod_uid="nobody", reporter="client"))
    assert (out["src_pod"], out["src_named_by"]) == ("ui", "pod_ip")


def test_nodes() -> None:
    out = named(row(NODE, UI))
    assert (out["src_kind"], out["src_node"], out["src_named_by"], out["src_pod"]) == ("node", "n1", "node_ip", None)


def test_the_service_behind_destination_nat() -> None:
    out = named(row(service_ip=VIP, service_port=5432))
    assert (out["service_namespace"], out["service"]) == ("shop", "db-svc")
    assert out["dst_pod"] == "db"


def test_a_service_address_whose_backend_was_never_seen() -> None:
    out = named(row(dst=VIP))
    assert (out["dst_kind"], out["dst_namespace"], out["dst_named_by"]) == ("service", "shop", "cluster_ip")
    assert (out["service"], out["dst_workload"]) == ("db-svc", None)


@pytest.mark.parametrize(
    ("ip", "kind", "aws_service", "region"),
    [
        ("52.217.10.14", "aws", "S3", "us-east-1"),
        ("52.94.2.72", "aws", "DYNAMODB", "us-east-1"),
        ("3.80.10.20", "aws", "EC2", "us-east-1"),
        ("54.239.28.85", "aws", "AMAZON", "us-east-1"),
        ("2600:1fa0:8000::35", "aws", "S3", "us-east-1"),
        ("8.8.8.8", "internet", None, None),
        ("2001:4860:4860::8888", "internet", None, None),
        ("198.51.100.80", "internet", None, None),
        ("10.9.9.9", "unknown", None, None),
        ("169.254.169.254", "unknown", None, None),
        ("100.64.0.1", "unknown", None, None),
        ("224.0.0.251", "unknown", None, None),
        ("fe80::1", "unknown", None, None),
        ("fd12::1", "unknown", None, None),
        ("::1", "unknown", None, None),
    ],
)
def test_addresses_outside(ip: str, kind: str, aws_service: str | None, region: str | None) -> None:
    out = named(row(dst=ip))
    assert (out["dst_kind"], out["dst_aws_service"], out["dst_region"]) == (kind, aws_service, region)
    assert out["dst_named_by"] == {"aws": "aws_ranges", "internet": "public_address"}.get(kind, "unknown")


def test_a_node_with_a_public_address_is_a_node() -> None:
    assert named(row("3.80.10.20", UI), added(node("n2", "3.80.10.20"), 0))["src_node"] == "n2"


def test_an_address_that_changed_hands_is_ambiguous_and_unknown() -> None:
    out = named(row(), deleted(pod("ui", UI), 102), added(pod("ui2", UI), 103))
    assert (out["src_kind"], out["src_pod"], out["src_named_by"]) == ("unknown", None, "ambiguous")


def test_an_address_reused_one_second_later_makes_no_false_edge() -> None:
    made = cluster(deleted(pod("ui", UI), 200), added(pod("other", UI), 201))
    out = enrich(
        table(
            row(first_seen_ns=190 * SECOND, last_seen_ns=199 * SECOND),
            row(first_seen_ns=201 * SECOND, last_seen_ns=205 * SECOND),
        ),
        made,
    )
    assert out["src_pod"].to_pylist() == ["ui", "other"]


def test_ipv6_and_mapped_addresses_are_kept_apart() -> None:
    out = enrich(table(row("fd00::1"), row("fd00::2")), cluster())
    assert out["src_pod"].to_pylist() == ["ui", None]


def test_tables_that_hold_addresses_only() -> None:
    wanted = ["src_ip", "dst_ip", "dst_port", "first_seen_ns", "last_seen_ns"]
    out = enrich(table(row()).select(wanted), cluster())
    assert (out["src_pod"].to_pylist(), out["service"].to_pylist()) == (["ui"], [None])


def test_empty_and_sliced_and_chunked_tables() -> None:
    whole = table(row(), row(dst=NODE), row(dst="8.8.8.8", service_ip=VIP, service_port=1), row(dst=VIP))
    made = cluster()
    expected = enrich(whole, made)
    assert enrich(whole.slice(0, 0), made).num_rows == 0
    assert enrich(whole.slice(1, 2), made).to_pylist() == expected.to_pylist()[1:3]
    chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert enrich(chunked, made).to_pylist() == expected.to_pylist()


def test_dns_names_already_there_are_kept_and_names_are_made_anew() -> None:
    given = (
        table(row()).append_column("dst_dns_name", pa.array(["db.shop"])).append_column("dst_pod", pa.array(["old"]))
    )
    out = enrich(given, cluster()).to_pylist()[0]
    assert (out["dst_dns_name"], out["dst_pod"]) == ("db.shop", "db")


def test_an_enricher_follows_its_inventory() -> None:
    made = cluster()
    enricher = Enricher(made)
    outside = [row(dst=ip) for ip in ("8.8.8.8", "52.217.10.14", "10.1.0.9")]
    assert enricher.enrich(table(*outside))["dst_kind"].to_pylist() == ["internet", "aws", "unknown"]
    made.fold([added(pod("late", "10.1.0.9"), 90)])
    assert enricher.enrich(table(*outside))["dst_kind"].to_pylist() == ["internet", "aws", "pod"]
    assert enricher.enrich(table(row(dst="52.94.2.72")))["dst_aws_service"].to_pylist() == ["DYNAMODB"]


def test_the_words_of_named_by_are_those_of_the_schema() -> None:
    doc = next(c.doc for c in COLLECTOR_COLUMNS if c.name == "src_named_by")
    for word in NAMED_BY:
        assert word in doc


def test_a_private_address_is_named_by_the_aws_name_it_was_looked_up_by() -> None:
    endpoint, name = "10.20.0.9", "vpce-0a1b-c2.sqs.eu-west-1.vpce.amazonaws.com"
    got = named(row(dst=endpoint, dst_dns_name=name))
    assert (got["dst_kind"], got["dst_aws_service"], got["dst_region"], got["dst_named_by"]) == (
        "aws", "SQS", "eu-west-1", "aws_dns",
    )  # fmt: skip
    assert got["category"] == "aws"
    assert named(row(dst=endpoint, dst_dns_name="db.internal.example.com"))["dst_kind"] == "unknown"
    assert named(row(dst=endpoint, dst_dns_name=None))["dst_kind"] == "unknown"


def test_what_the_cluster_and_the_published_ranges_know_comes_before_a_name() -> None:
    name = "sqs.eu-west-1.amazonaws.com"
    assert named(row(dst=DB, dst_dns_name=name))["dst_kind"] == "pod"
    got = named(row(dst="52.216.1.1", dst_dns_name=name))
    assert (got["dst_aws_service"], got["dst_named_by"]) == ("S3", "aws_ranges")
    assert named(row(dst="93.184.216.34", dst_dns_name=name))["dst_named_by"] == "public_address"
