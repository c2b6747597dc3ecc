"""Each shipped scenario on real packets, in each kind of network: its edges are exactly the expected ones."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from e2e import expected
from eastwest.cli._stack import Plan, Stack, StackError

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

SCENARIOS = ("retail-store", "ecommerce", "photo-gallery", "mobile-core")
ALL = expected.SYSTEM | expected.RETAIL_STORE | expected.ECOMMERCE | expected.PHOTO_GALLERY | expected.MOBILE_CORE


@pytest.fixture(scope="module", params=["routed", "bridged", "vxlan"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    name = f"e2e{os.getpid() % 100000}{request.param[0]}"
    plan = Plan(SCENARIOS, name=name, network=request.param, listen="127.0.0.1:0")
    with Stack(plan) as running:
        # Here, so that each test can run alone; the first of them says which edge is missing.
        with contextlib.suppress(StackError):
            running.wait_for("every expected edge", lambda: _off(_map(running)) == (set(), set()), 90)
        yield running


def _map(stack: Stack, **params: str) -> dict[str, Any]:
    answer: dict[str, Any] = stack.get("/api/v1/service-map", window="15m", **params)
    return answer


def _off(answer: dict[str, Any]) -> tuple[set[expected.Edge], set[expected.Edge]]:
    """What is missing, and what is there and not expected: for a few seconds a server's end may be known without its client's."""
    seen = expected.seen(answer)
    return ALL - seen, seen - ALL - expected.ECOMMERCE_TOLERATED - expected.unanswered(answer)


def test_the_edges_are_exactly_the_expected_ones(stack: Stack) -> None:
    answer = _map(stack)
    missing, extra = _off(answer)
    assert not missing, f"missing: {sorted(missing)}"
    assert not extra, f"not expected: {sorted(extra)}"
    assert expected.doubled(answer) == []


def test_pod_level_shows_the_same_edges_between_pods(stack: Stack) -> None:
    answer = _map(stack, level="pod")
    assert expected.seen(answer) >= ALL - {("orders/orders-report", "orders/orders-postgresql", "TCP", 5432)}
    assert expected.doubled(answer) == []
    kinds = {n["kind"] for n in answer["nodes"]}
    assert kinds - ({"service"} if expected.unanswered(answer) else set()) <= {"pod", "node", "aws", "internet"}


def test_a_service_edge_names_service_and_backend(stack: Stack) -> None:
    edges = _map(stack, namespace="catalog")["edges"]
    edge = next(e for e in edges if e["dst_port"] == 8080 and e["source"].endswith("ui/Deployment/ui"))
    assert (edge["service"], edge["service_port"]) == ("catalog", 80)
    assert edge["connections_established"] >= 1
    assert edge["bytes_forward"] > 0
    assert edge["bytes_reverse"] > 0


@pytest.mark.parametrize("family", ["4", "6"])
def test_an_sctp_edge_has_the_initiator_as_its_client(stack: Stack, family: str) -> None:
    stack.wait_for("associations of this family", lambda: bool(_associations(stack, family)), 30)
    rows = _associations(stack, family)
    assert {(r["src_workload"], r["dst_workload"], r["dst_port"]) for r in rows} == {("gnb", "amf", 36412)}
    assert {(r["service"], r["service_port"]) for r in rows} == {("amf", 38412)}
    assert all(r["bytes_forward"] > 0 and r["bytes_reverse"] > 0 for r in rows if r["connections"])


def _associations(stack: Stack, family: str) -> list[dict[str, Any]]:
    rows = stack.get("/api/v1/flows", window="15m", limit="1000", filter="protocol = SCTP")["rows"]
    return [r for r in rows if (":" in r["dst_ip"]) == (family == "6")]


def test_the_books_close(stack: Stack) -> None:
    coverage = stack.get("/api/v1/coverage", window="5m")
    assert coverage["unexplained_bytes"] == 0
    assert coverage["unexplained_packets"] == 0
    assert coverage["recorded_bytes"] > 100_000
    assert [n["state"] for n in coverage["nodes"]] == ["reporting"] * 3


def test_people_outside_really_buy(stack: Stack) -> None:
    assert stack.lab is not None
    (shop,) = [c for c in stack.lab.clients() if c["name"].startswith("ui")]
    assert shop["succeeded"] > 20
    assert shop["failed"] == 0, shop["last_failure"]
