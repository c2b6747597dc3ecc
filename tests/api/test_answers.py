"""The routes over a real server with a small shop in it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api.factories_batches import AT
from api.running import RunningServer
from eastwest.api.models.costs import Costs
from eastwest.api.models.coverage import Coverage
from eastwest.api.models.events import LiveEvent
from eastwest.api.models.flows import FlowPage
from eastwest.api.models.health import Health
from eastwest.api.models.servicemap import ServiceMap
from eastwest.cli.main import main
from store.factories_flows import SECOND


def ask(shop: RunningServer, path: str, **params: Any) -> Any:
    response = shop.get(path, **params)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_map_of_the_shop(shop: RunningServer) -> None:
    answer = ask(shop, "/api/v1/service-map")
    ServiceMap.model_validate(answer)
    assert [(n["id"], n["kind"], n["name"], n["pods"]) for n in answer["nodes"]] == [
        ("aws:S3/us-east-1", "aws", "S3", None),
        ("internet:93.184.216.34", "internet", "93.184.216.34", None),
        ("workload:carts/Deployment/carts", "workload", "carts", 1),
        ("workload:ui/Deployment/ui", "workload", "ui", 2),
    ]
    edges = {(e["source"], e["target"], e["protocol"], e["dst_port"]): e for e in answer["edges"]}
    assert set(edges) == {
        ("workload:ui/Deployment/ui", "workload:carts/Deployment/carts", "TCP", 8080),
        ("workload:ui/Deployment/ui", "aws:S3/us-east-1", "TCP", 443),
        ("workload:ui/Deployment/ui", "internet:93.184.216.34", "TCP", 443),
    }
    shop_edge = edges["workload:ui/Deployment/ui", "workload:carts/Deployment/carts", "TCP", 8080]
    assert (shop_edge["connections"], shop_edge["bytes_forward"], shop_edge["reporter"]) == (2, 2_000_100, "client")
    assert (shop_edge["service_namespace"], shop_edge["service"], shop_edge["service_port"]) == ("carts", "carts", 80)
    assert answer["coverage"]["unexplained_bytes"] == 0


def test_the_map_of_pods_keeps_external_ends(shop: RunningServer) -> None:
    answer = ask(shop, "/api/v1/service-map", level="pod")
    assert [n["id"] for n in answer["nodes"]] == [
        "aws:S3/us-east-1",
        "internet:93.184.216.34",
        "pod:carts/carts-5d9c-1",
        "pod:ui/ui-5d9c-1",
        "pod:ui/ui-5d9c-2",
    ]
    ui = answer["nodes"][3]
    assert (ui["name"], ui["workload"], ui["workload_kind"], ui["pods"]) == ("ui-5d9c-1", "ui", "Deployment", None)


@pytest.mark.parametrize(
    ("params", "edges"),
    [
        ({"namespace": "carts"}, 1),
        ({"namespace": "ui"}, 3),
        ({"namespace": "nobody"}, 0),
        ({"filter": "dst_port=443"}, 2),
        ({"filter": "bytes_forward>1MB", "level": "pod"}, 1),
        ({"filter": "bytes_forward>1MB and dst_port=443"}, 0),
        ({"window": "1h"}, 3),
        ({"window": "30s"}, 0),
    ],
)
def test_the_map_can_be_narrowed(shop: RunningServer, params: dict[str, str], edges: int) -> None:
    assert len(ask(shop, "/api/v1/service-map", **params)["edges"]) == edges


def test_start_and_end_are_exact(shop: RunningServer) -> None:
    from datetime import UTC, datetime

    def text(ns: int) -> str:
        return datetime.fromtimestamp(ns // SECOND, UTC).isoformat()

    def count(start: int, end: int) -> int:
        return len(ask(shop, "/api/v1/service-map", start=text(start), end=text(end))["edges"])

    assert count(AT, AT + SECOND) == 3  # start is inclusive
    assert count(AT - SECOND, AT) == 0  # end is exclusive


@pytest.mark.parametrize(("view", "rows"), [("cluster", 2), ("aws", 1), ("external", 1), (None, 4)])
def test_the_views_of_the_flow_table(shop: RunningServer, view: str | None, rows: int) -> None:
    answer = ask(shop, "/api/v1/flows", **({"view": view} if view else {}))
    FlowPage.model_validate(answer)
    assert (len(answer["rows"]), answer["total"], answer["next_cursor"]) == (rows, rows, None)


def test_rows_say_how_each_end_was_named(shop: RunningServer) -> None:
    (row,) = ask(shop, "/api/v1/flows", filter="bytes_forward>1MB")["rows"]
    assert (row["src_pod"], row["src_node"], row["src_ip"], row["src_named_by"]) == (
        "ui-5d9c-1", "node-a", "10.0.0.1", "pod_uid",
    )  # fmt: skip
    assert (row["protocol"], row["dst_port"], row["service_ip"], row["dst_zone"]) == ("TCP", 8080, "10.96.0.1", None)


@pytest.mark.parametrize(
    "sort", ["-bytes_forward", "bytes_forward", "src_ip", "-dst_namespace", "last_seen_ns", "protocol", "-cost", "cost"]
)
def test_pages_hold_every_row_once_in_order(shop: RunningServer, sort: str) -> None:
    whole = ask(shop, "/api/v1/flows", sort=sort)["rows"]
    rows, cursor = [], None
    while True:
        page = ask(shop, "/api/v1/flows", sort=sort, limit=1, **({"cursor": cursor} if cursor else {}))
        rows += page["rows"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert rows == whole
    assert len(rows) == 4


def test_top_by_everything(shop: RunningServer) -> None:
    top = ask(shop, "/api/v1/top", by="workload", metric="connections")
    assert [(r["namespace"], r["name"], r["connections"]) for r in top["rows"]] == [
        ("ui", "ui", 4),
        ("carts", "carts", 2),
    ]
    assert ask(shop, "/api/v1/top", by="pod")["rows"][0]["name"] in ("carts-5d9c-1", "ui-5d9c-1")
    assert len(ask(shop, "/api/v1/top", by="namespace", limit=1)["rows"]) == 1


def test_every_amount_stands_beside_its_prices(shop: RunningServer) -> None:
    per_byte = 0.09 / 1_073_741_824  # the table in the package
    for path in ("service-map", "flows", "top", "costs"):
        prices = ask(shop, f"/api/v1/{path}")["prices"]
        assert (prices["as_of"], prices["currency"]) == ("2026-11-22", "USD")
        assert "Check every number" in prices["source"]
    rows = {r["dst_kind"]: r for r in ask(shop, "/api/v1/flows", sort="-cost")["rows"]}
    assert rows["internet"]["cost"] == pytest.approx(100 * per_byte)  # what comes back is free
    unknown = rows["pod"]  # the nodes carry no zone
    assert (unknown["cost"], unknown["unpriced_reason"]) == (None, "zone_unknown")
    edges = {e["category"]: e for e in ask(shop, "/api/v1/service-map")["edges"]}
    assert (edges["unknown"]["cost"], edges["unknown"]["unpriced_bytes"]) == (None, 2_002_100)
    answer = ask(shop, "/api/v1/costs", by="namespace")
    Costs.model_validate(answer)
    assert answer["cost"] == pytest.approx(100 * per_byte)
    assert {r["name"]: r["cost"] for r in answer["rows"]} == {"ui": pytest.approx(100 * per_byte), "carts": None}
    assert ask(shop, "/api/v1/top", by="namespace", metric="cost")["rows"] == answer["rows"]


def test_coverage_closes(shop: RunningServer) -> None:
    answer = ask(shop, "/api/v1/coverage")
    Coverage.model_validate(answer)
    assert (answer["ratio"], answer["unexplained_bytes"], [n["node"] for n in answer["nodes"]]) == (
        1.0, 0, ["node-a", "node-b"],
    )  # fmt: skip
    assert {n["state"] for n in answer["nodes"]} == {"silent"}  # the shop sent one batch a minute ago
    assert not answer["complete"]
    assert "silent" in answer["sentences"][0]


@pytest.mark.parametrize(
    ("path", "command"),
    [("flows", ["flows"]), ("top", ["top", "workload"]), ("costs", ["costs"]), ("service-map", ["map"])],
)
def test_what_is_missing_stands_beside_what_it_affects(
    shop: RunningServer, path: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    missing = ask(shop, "/api/v1/coverage")["sentences"]
    assert "silent" in missing[0]
    answer = ask(shop, f"/api/v1/{path}")
    assert (answer["incomplete"] if path != "service-map" else answer["coverage"]["sentences"]) == missing
    assert main([*command, "--server", shop.url]) == 0
    assert f"# incomplete: {missing[0]}" in capsys.readouterr().out.splitlines()


def test_coverage_pod_by_pod_and_window_by_window(shop: RunningServer) -> None:
    answer = ask(shop, "/api/v1/coverage", by="pod")
    Coverage.model_validate(answer)
    assert {(p["node"], p["pod_uid"], p["interface"], p["ratio"]) for p in answer["pods"]} == {
        ("node-a", "uid-1", "veth1", 1.0),
        ("node-b", "uid-1", "veth1", 1.0),
    }
    assert answer["windows"] is None
    windows = ask(shop, "/api/v1/coverage", by="window", limit=1)["windows"]
    assert [(w["window_start_ns"], w["unexplained_bytes"]) for w in windows] == [(AT, 0)]
    assert shop.get("/api/v1/coverage", by="planet").status_code == 400


def test_the_inventory(shop: RunningServer) -> None:
    answer = ask(shop, "/api/v1/inventory")
    assert (answer["source"], answer["namespaces"]) == ("manifests", ["carts", "ui"])
    assert [(w["name"], w["pods"]) for w in answer["workloads"]] == [("carts", 1), ("ui", 2)]
    assert answer["services"][0]["ports"][0]["target_port"] == 8080
    assert [p["name"] for p in answer["pods"]] == ["carts-5d9c-1", "ui-5d9c-1", "ui-5d9c-2"]


@pytest.mark.parametrize(
    ("text", "expected", "at"),
    [
        ("", "src_namespace", 0),
        ("src_n", "src_namespace", 0),
        ("dst_port", "dst_port", 0),
        ("dst_port ", ">=", 9),
        ("reporter=", "client", 9),
        ("src_namespace=u", "ui", 14),
        ("dst_namespace in (ui, ca", "carts", 22),
        ("dst_port=80 ", "and", 12),
        ("(dst_port=80 ", ")", 13),
        ('dst_pod="car', "carts-5d9c-1", 8),
    ],
)
def test_completions(shop: RunningServer, text: str, expected: str, at: int) -> None:
    answer = ask(shop, "/api/v1/filter/complete", filter=text)
    assert expected in answer["completions"]
    assert answer["replace_from"] == at


def test_the_filter_is_checked(shop: RunningServer) -> None:
    assert ask(shop, "/api/v1/filter/complete", filter="dst_port=80")["error"] is None
    error = ask(shop, "/api/v1/filter/complete", filter="dst_port=80 and src_namspace=ui")["error"]
    assert (error["position"], error["end"]) == (16, 28)
    assert "src_namespace" in error["message"]


def test_events_follow_new_records(shop: RunningServer) -> None:
    from api.conftest import between, send

    with httpx.stream("GET", f"{shop.url}/api/v1/events", timeout=30, trust_env=False) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        assert next(lines) == ": connected"
        old = between("10.0.0.1", "10.0.1.1", pod_uid="uid-ui-1") | {"connections": 0}
        send(shop, 1, [row | {"window_start_ns": AT - 7200 * SECOND} for row in [old]])
        assert next(line for line in lines if line.startswith("event:")) == "event: flows"
        event = LiveEvent.model_validate_json(next(lines).removeprefix("data: "))
        assert (event.rows, event.batches, event.nodes) == (1, 1, 1)


def test_health_and_metrics(shop: RunningServer) -> None:
    health = Health.model_validate(ask(shop, "/healthz"))
    assert (health.status, health.recorded, health.store.ready, health.last_batch_ns is not None) == (
        "ok",
        False,
        True,
        True,
    )
    metrics = shop.get("/metrics").text
    assert "eastwest_server_batches_total" in metrics
    assert metrics.endswith("# EOF\n")


def test_pages_of_the_console(shop: RunningServer) -> None:
    for path in ("/", "/map", "/flows?view=aws"):
        page = shop.get(path)
        assert page.status_code == 200
        assert "eastwest" in page.text
    for path in ("/api/v1/nothing", "/assets/nothing.js", "/..%2f..%2fpyproject.toml"):
        assert shop.get(path).status_code == 404
