"""What a rollout's gates ask, answered by the real store from reports of both ends."""

from __future__ import annotations

from typing import Any

import pytest

from eastwest.query.denials import denied_flows, tcp
from eastwest.store.clickhouse import ClickHouseStore
from eastwest.store.parts import cut
from eastwest.store.questions import Range
from store.conftest import engine, store  # noqa: F401 - fixtures
from store.factories_flows import HOUR, MINUTE, NOON, SECOND, internet, pod, record, table, unknown

UI, CARTS = pod("src", "shop", "ui", ip="10.0.0.1"), pod("dst", "bank", "carts", ip="10.0.1.1", node="node-b")
BEFORE, STEP = Range(NOON - HOUR, NOON), Range(NOON, NOON + MINUTE)
BY = "NetworkPolicy bank/carts ingress isolation"


def put(store: ClickHouseStore, *rows: dict[str, Any]) -> None:  # noqa: F811
    for part in cut("b", table(*rows), []):
        store.insert(part)


def server(at: int = NOON, **values: Any) -> dict[str, Any]:
    return record(UI, CARTS, at=at, reporter="server", node="node-b", **values)


def denied(at: int = NOON, **values: Any) -> dict[str, Any]:
    return server(
        at, **{"policy_denied": 3, "policy_allowed": 0, "denied_by": BY, "connections_established": 0, **values}
    )


@pytest.mark.parametrize("ago", [MINUTE // 2, 40 * MINUTE], ids=["records", "minutes"])
def test_a_flow_seen_before_is_told_with_who_denied_it_where_and_how_often(store: ClickHouseStore, ago: int) -> None:  # noqa: F811
    put(store, record(UI, CARTS, at=NOON - ago), server(NOON - ago), denied(), denied(NOON + SECOND, policy_denied=2))
    put(store, record(UI, CARTS, connections_established=0))
    (flow,) = denied_flows(store, STEP, BEFORE, ["bank", "shop"])
    assert (flow.src, flow.dst, flow.protocol, flow.port) == ("shop/ui[Deployment]", "bank/carts[Deployment]", 6, 8080)
    assert (flow.denied, flow.would_deny, flow.reasons, flow.cells) == (5, 0, (BY,), (("bank", "node-b"),))
    assert (flow.seen_connections, flow.src_ip, flow.dst_ip) == (1, "10.0.0.1", "10.0.1.1")
    assert flow.last_seen_ns == NOON - ago + 2 * SECOND


def test_who_decided_counts_not_who_took_part(store: ClickHouseStore) -> None:  # noqa: F811
    put(store, denied())
    assert denied_flows(store, STEP, BEFORE, ["shop"]) == []
    assert len(denied_flows(store, STEP, BEFORE, ["bank"])) == 1


@pytest.mark.parametrize(
    "before",
    [
        {"connections_established": 0},  # refused
        {"policy_would_deny": 2},  # the audit of an earlier try had named it already
        {"reporter": "unknown"},
        {"dst_port": 9090},
    ],
)
def test_what_was_never_let_through_was_not_seen(store: ClickHouseStore, before: dict[str, Any]) -> None:  # noqa: F811
    put(store, record(UI, CARTS, at=NOON - MINUTE, **before), denied())
    (flow,) = denied_flows(store, STEP, BEFORE, ["bank"])
    assert (flow.seen_connections, flow.last_seen_ns) == (0, None)


def test_a_connection_older_than_the_lookback_was_seen(store: ClickHouseStore) -> None:  # noqa: F811
    older = {"connections": 0, "connections_established": 0}
    put(store, record(UI, CARTS, at=NOON - MINUTE, **older), denied())
    assert denied_flows(store, STEP, BEFORE, ["bank"])[0].seen_connections == 1


def test_any_client_of_the_internet_stands_for_all_but_a_server_only_for_itself(store: ClickHouseStore) -> None:  # noqa: F811
    put(
        store,
        record(internet("src", "198.51.100.1"), CARTS, at=NOON - MINUTE, reporter="server"),
        record(internet("src", "198.51.100.9"), CARTS, reporter="server", policy_denied=1, denied_by=BY),
        record(UI, internet("dst", "203.0.113.1"), at=NOON - MINUTE, dst_port=443),
        record(UI, internet("dst", "203.0.113.2"), dst_port=443, policy_denied=1, denied_by=BY),
        record(UI, internet("dst", "203.0.113.3", "api.example.com"), at=NOON - MINUTE, dst_port=444),
        record(UI, internet("dst", "203.0.113.4", "api.example.com"), dst_port=444, policy_would_deny=1, denied_by=BY),
        record(UI, unknown("dst", "10.9.9.9"), dst_port=445, policy_would_deny=1, denied_by=BY),
    )
    flows = denied_flows(store, STEP, BEFORE, ["bank", "shop"])
    assert [(f.src, f.dst, f.seen_connections) for f in flows] == [
        ("internet", "bank/carts[Deployment]", 1),
        ("shop/ui[Deployment]", "10.9.9.9", 0),
        ("shop/ui[Deployment]", "203.0.113.2", 0),
        ("shop/ui[Deployment]", "api.example.com", 1),
    ]


def test_tcp_counts_own_sends_without_what_is_denied(store: ClickHouseStore) -> None:  # noqa: F811
    sums = {"retransmits_syn": 1, "retransmits_established": 2, "retransmits_closing": 0, "connection_attempts": 4,
            "connection_failures": 1, "connection_timeouts": 1}  # fmt: skip
    db = pod("dst", "bank", "db", ip="10.0.1.2", node="node-b")
    put(
        store,
        record(UI, db, segments_forward=50, **sums),
        record(UI, CARTS, **{**sums, "retransmits_syn": 90}),
        denied(),
        record(UI, db, reporter="server", node="node-b"),
    )
    found = tcp(store, STEP, ["shop"])
    assert (found.segments, found.retransmits, found.attempts, found.failures) == (50, 3, 4, 2)
    without = tcp(store, STEP, ["bank"])
    assert (without.segments, without.retransmits) == (3, None)
    assert tcp(store, BEFORE, ["shop"]).segments == 0
