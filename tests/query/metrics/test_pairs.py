"""Pair counters against the flow table: the same records in both, equal at every cap."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser
from prometheus_client.samples import Sample

from eastwest.agent.metrics.families import LATENCY_BOUNDS_S
from eastwest.model.histogram import BOUNDS_US
from eastwest.query.metrics.labels import OTHER, category
from eastwest.query.metrics.pairs import MEASURES, FlowMetrics
from eastwest.query.metrics.reports import FORGET_S, HOLD_S, Reports, edge_keys, mirrored
from eastwest.query.metrics.tcp import COLUMNS as TCP_COLUMNS
from eastwest.query.metrics.tcp import RTT_BOUNDS_S
from eastwest.runtime.openmetrics import Exposition
from eastwest.store.parts import cut
from eastwest.store.protocol import Store
from eastwest.store.questions import Edges, Range
from store.conftest import engine, store  # noqa: F401  (fixtures)
from store.factories_flows import HOUR, NOON, aws, internet, pod, record, table, unknown

NOW = 1_000_000.0
PODS = {
    "10.0.0.1": ("shop", "ui", "node-a"),
    "10.0.1.1": ("shop", "carts", "node-b"),
    "10.0.1.2": ("bank", "ledger", "node-b"),
    "10.0.0.3": ("bank", "audit", "node-a"),
}


def end(side: str, ip: str) -> dict[str, Any]:
    namespace, workload, node = PODS[ip]
    return pod(side, namespace, workload, ip=ip, node=node)


def samples(metrics: FlowMetrics, now_s: float = NOW + HOLD_S) -> list[Sample]:
    out = Exposition()
    metrics.render(out, now_s)
    return [s for f in parser.text_string_to_metric_families(out.finish().decode()) for s in f.samples]


def totals(metrics: FlowMetrics, now_s: float = NOW + HOLD_S) -> dict[str, int]:
    """Sum over all series, per column of the flow table."""
    read = samples(metrics, now_s)
    return {
        column: int(sum(s.value for s in read if s.name == f"{family.name}_total" and s.labels.get("direction") == way))
        for column, family, way in MEASURES
    }


def pairs(metrics: FlowMetrics, now_s: float = NOW + HOLD_S) -> dict[tuple[str, str, str], int]:
    return {
        (s.labels["source"], s.labels["destination"], s.labels["category"]): int(s.value)
        for s in samples(metrics, now_s)
        if s.name == "eastwest_pair_bytes_total" and s.labels["direction"] == "forward"
    }


UI_CARTS = record(end("src", "10.0.0.1"), end("dst", "10.0.1.1"))
SERVERS_VIEW = UI_CARTS | {"reporter": "server", "node": "node-b", "bytes_forward": 90}


def test_both_ends_report_and_one_counts() -> None:
    for order in itertools.permutations((UI_CARTS, SERVERS_VIEW)):
        metrics = FlowMetrics()
        for i, row in enumerate(order):
            metrics.take(table(row), NOW + i)
        assert pairs(metrics, NOW + 1 + HOLD_S) == {("ui", "carts", "inter_zone"): 100}


def test_the_servers_report_counts_when_no_client_speaks() -> None:
    metrics = FlowMetrics()
    metrics.take(table(SERVERS_VIEW), NOW)
    assert pairs(metrics, NOW + HOLD_S / 2) == {}
    assert pairs(metrics) == {("ui", "carts", "inter_zone"): 90}


def test_a_client_that_falls_silent_is_replaced() -> None:
    metrics = FlowMetrics()
    metrics.take(table(UI_CARTS), NOW)
    metrics.take(table(SERVERS_VIEW), NOW + 1)
    late = NOW + 2 * FORGET_S + 1
    metrics.take(table(SERVERS_VIEW), NOW + FORGET_S)
    metrics.take(table(SERVERS_VIEW), late)
    assert pairs(metrics, late + HOLD_S) == {("ui", "carts", "inter_zone"): 190}


def test_reports_without_a_role_meet_in_one_edge() -> None:
    ours = record(end("src", "10.0.0.1"), end("dst", "10.0.1.1"), reporter="unknown", src_port=40000)
    theirs = record(
        end("src", "10.0.1.1"), end("dst", "10.0.0.1"), reporter="unknown", src_port=8080, dst_port=40000,
        bytes_forward=1000, bytes_reverse=100,
    )  # fmt: skip
    for rows in ([ours, theirs], [theirs, ours], [theirs]):
        metrics = FlowMetrics()
        metrics.take(table(*rows), NOW)
        assert pairs(metrics) == {("ui", "carts", "inter_zone"): 100}
    metrics = FlowMetrics()
    metrics.take(table(UI_CARTS, ours, theirs), NOW)
    assert pairs(metrics) == {("ui", "carts", "inter_zone"): 100}


def test_the_end_that_names_itself_is_preferred() -> None:
    blind = record(end("src", "10.0.0.1"), unknown("dst", "10.0.1.1"))
    metrics = FlowMetrics()
    metrics.take(table(blind, SERVERS_VIEW), NOW)
    assert pairs(metrics) == {("ui", "carts", "inter_zone"): 90}
    alone = FlowMetrics()
    alone.take(table(blind), NOW)
    assert pairs(alone) == {("ui", "unknown", "unknown"): 100}


def test_mirroring_twice_changes_nothing() -> None:
    rows = table(UI_CARTS, record(end("src", "10.0.0.1"), internet("dst", "93.184.216.34"), src_port=5))
    turned = mirrored(rows)
    assert turned["dst_workload"].to_pylist() == ["ui", "ui"]
    assert turned["bytes_forward"].to_pylist() == [1000, 1000]
    assert mirrored(turned).equals(rows)
    assert list(edge_keys(rows.slice(1))) == list(edge_keys(rows))[1:]


def test_categories() -> None:
    here = end("src", "10.0.0.1")
    cases = {
        "intra_zone": end("dst", "10.0.0.3"),
        "inter_zone": end("dst", "10.0.1.1"),
        "inter_region": end("dst", "10.0.1.1") | {"src_region": "eu-west-1", "dst_region": "us-east-1"},
        "internet": internet("dst", "93.184.216.34"),
        "aws": aws("dst", "52.216.1.1", "S3", "us-east-1"),
        "unknown": unknown("dst", "10.9.9.9"),
        "node": {"dst_kind": "node", "dst_ip": "192.168.0.1", "dst_node": "node-a"},
        "service": {"dst_kind": "service", "dst_ip": "10.96.0.1", "service": "carts"},
    }
    rows = table(*(record(here, there) for there in cases.values()))
    assert category(rows).to_pylist() == list(cases)
    metrics = FlowMetrics()
    metrics.take(rows, NOW)
    assert {(target, kind) for _, target, kind in pairs(metrics)} == {
        ("audit", "intra_zone"), ("carts", "inter_zone"), ("carts", "inter_region"), ("internet", "internet"),
        ("S3", "aws"), ("unknown", "unknown"), ("node", "node"), ("carts", "service"),
    }  # fmt: skip
    zones = {
        (s.labels["source_zone"], s.labels["destination_zone"]): s.value
        for s in samples(metrics)
        if s.name == "eastwest_zone_bytes_total" and s.labels["direction"] == "reverse"
    }
    assert zones == {("zone-a", "zone-a"): 1000, ("zone-a", "zone-b"): 2000}


EDGE = st.tuples(
    st.sampled_from(sorted(PODS)), st.sampled_from(sorted(PODS)), st.sampled_from([53, 80, 8080]), st.integers(0, 2**40)
)


def reports(edges: list[tuple[str, str, int, int]], silent: set[str]) -> list[dict[str, Any]]:
    """Both ends' reports of each edge, from the nodes that have an agent."""
    rows = []
    for source, target, port, amount in edges:
        ends = end("src", source), end("dst", target)
        for reporter, node in (("client", PODS[source][2]), ("server", PODS[target][2])):
            if node not in silent:
                seen = amount if reporter == "client" else amount // 2
                rows.append(record(*ends, reporter=reporter, node=node, dst_port=port, bytes_forward=seen))
    return rows


def flow_table(rows: list[dict[str, Any]]) -> dict[str, int]:
    """The rule in words of its own: per edge the client's reports, else the server's."""
    sums = dict.fromkeys((column for column, _, _ in MEASURES), 0)
    key = ("src_ip", "dst_ip", "dst_port")
    with_client = {tuple(r[k] for k in key) for r in rows if r["reporter"] == "client"}
    for row in rows:
        if row["reporter"] == "client" or tuple(row[k] for k in key) not in with_client:
            for column in sums:
                sums[column] += row[column]
    return sums


@given(
    st.lists(EDGE, max_size=12),
    st.sets(st.sampled_from(["node-a", "node-b"]), max_size=1),
    st.integers(0, 15),
    st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_the_sum_over_series_is_the_flow_table_at_every_cap(
    edges: list[tuple[str, str, int, int]], silent: set[str], cap: int, order: Any
) -> None:
    rows = reports(edges, silent)
    order.shuffle(rows)
    metrics = FlowMetrics(cap)
    seen: dict[str, int] = {}
    for i, row in enumerate(rows):
        metrics.take(table(row), NOW + i * 0.1)
        now = totals(metrics, NOW + i * 0.1)
        assert all(now[column] >= value for column, value in seen.items())
        seen = now
    assert totals(metrics, NOW + 100) == flow_table(rows)
    own = {s.labels["source"] for s in samples(metrics) if s.name == "eastwest_pair_bytes_total"} - {OTHER}
    assert len({k for k in pairs(metrics) if k[0] != OTHER}) <= cap
    assert not own or cap


@pytest.mark.parametrize("cap", [0, 1, 3, 1000])
def test_the_sum_over_series_is_what_the_store_says(store: Store, cap: int) -> None:  # noqa: F811
    edges = [(s, t, p, 7 * i) for i, (s, t, p) in enumerate(itertools.product(sorted(PODS), sorted(PODS), (53, 80)))]
    rows = reports(edges, {"node-b"}) + reports(edges[::3], set())
    rows += [record(end("src", "10.0.0.1"), internet("dst", "93.184.216.34")), SERVERS_VIEW | {"dst_port": 9}]
    metrics = FlowMetrics(cap)
    metrics.take(table(*rows), NOW)
    for part in cut("b", table(*rows), []):
        store.insert(part)
    answer = store.ask(Edges(Range(NOON - HOUR, NOON + HOUR), "pod"))
    names = [name for name in totals(metrics) if name in answer.column_names]
    assert "bytes_forward" in names
    expected = {name: sum(answer[name].to_pylist()) for name in names}
    assert {name: value for name, value in totals(metrics).items() if name in names} == expected


def with_tcp(rows: pa.Table, *values: dict[str, int] | None) -> pa.Table:
    """`rows` with the socket hook's columns: 0 where not said, null throughout for None."""
    for column in TCP_COLUMNS:
        cells = [None if v is None else v.get(column, 0) for v in values]
        rows = rows.set_column(rows.column_names.index(column), column, pa.array(cells, pa.uint64()))
    return rows


def test_tcp_health_is_added_up_from_both_ends() -> None:
    loss = {"retransmits_established": 3, "rtos_established": 1, "rtt_bucket_02": 5, "rtt_sum_us": 500}
    turned = record(end("src", "10.0.1.1"), end("dst", "10.0.0.1"), reporter="unknown", src_port=80, dst_port=40000)
    metrics = FlowMetrics()
    rows = table(UI_CARTS, SERVERS_VIEW, turned, UI_CARTS)
    metrics.take(with_tcp(rows, loss, {"retransmits_established": 2}, {"retransmits_syn": 7}, None), NOW)
    seen = {
        (s.name, s.labels["direction"], s.labels.get("phase") or s.labels.get("le")): s.value
        for s in samples(metrics)
        if s.name.startswith("eastwest_pair_tcp") and s.labels["source"] == "ui" and not s.name.endswith("_created")
    }
    name = "eastwest_pair_tcp_retransmissions_total"
    assert seen[name, "forward", "established"] == 3
    assert seen[name, "reverse", "established"] == 2
    assert seen[name, "reverse", "syn"] == 7
    assert (name, "forward", "syn") not in seen
    assert seen["eastwest_pair_tcp_timeouts_total", "forward", "established"] == 1
    assert seen["eastwest_pair_tcp_rtt_seconds_bucket", "forward", "0.000128"] == 5
    assert seen["eastwest_pair_tcp_rtt_seconds_bucket", "forward", "6.4e-05"] == 0
    assert seen["eastwest_pair_tcp_rtt_seconds_sum", "forward", None] == 0.0005
    assert ("eastwest_pair_tcp_rtt_seconds_count", "reverse", None) not in seen


@pytest.mark.parametrize("cap", [0, 1, 3, 1000])
def test_no_segment_and_no_round_trip_is_lost_at_any_cap(cap: int) -> None:
    rows = reports([(s, t, 80, 7) for s, t in itertools.product(sorted(PODS), repeat=2)], set())
    told = [
        {"retransmits_established": n, "rtt_bucket_03": 2 * n, "rtt_sum_us": 300 * n} for n in range(1, len(rows) + 1)
    ]
    metrics = FlowMetrics(cap)
    metrics.take(with_tcp(table(*rows), *told), NOW)
    seen = [s for s in samples(metrics) if s.name.startswith("eastwest_pair_tcp_")]

    def total(name: str, **labels: str) -> float:
        return sum(
            s.value for s in seen if s.name == f"eastwest_pair_tcp_{name}" and labels.items() <= s.labels.items()
        )

    segments = sum(range(1, len(rows) + 1))
    assert total("retransmissions_total", phase="established") == segments
    assert total("rtt_seconds_count") == total("rtt_seconds_bucket", le="+Inf") == 2 * segments
    assert total("rtt_seconds_sum") == pytest.approx(300e-6 * segments)
    assert any(s.labels["source"] == OTHER for s in seen) == (cap < 1000)


def test_the_buckets_are_those_of_the_records() -> None:
    assert [int(b * 1e6) for b in RTT_BOUNDS_S] == list(BOUNDS_US)
    assert LATENCY_BOUNDS_S == RTT_BOUNDS_S


def test_nothing_in_nothing_out() -> None:
    metrics = FlowMetrics()
    metrics.take(table(), NOW)
    assert {s.name for s in samples(metrics)} == {"eastwest_pair_series", "eastwest_pair_series_limit"}
    taken = Reports().take(table(), NOW)
    assert isinstance(taken, pa.Table)
    assert taken.num_rows == 0
