"""Prometheus on a real cluster in this machine: real agents, the real server, real traffic, a real fault."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics import parser

from deploy import prometheus
from deploy.otlp import Receiver, attributes
from deploy.pages import filled_in, panels
from deploy.prometheus import Prometheus
from deploy.registry import ALL
from deploy.relay import Relay
from eastwest.cli._stack import Plan, Stack
from eastwest.query.metrics.reports import HOLD_S

pytestmark = [pytest.mark.root, pytest.mark.timeout(300), prometheus.needed]

AGENT_PORT = 7421


@dataclass
class Watched:
    stack: Stack
    prometheus: Prometheus
    agents: dict[str, str]
    otlp: Receiver

    def agent(self, node: str) -> str:
        return httpx.get(f"http://{self.agents[node]}/metrics", timeout=10, trust_env=False).text

    def server(self) -> str:
        return httpx.get(f"{self.stack.url}/api/v1/metrics", timeout=10, trust_env=False).text


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    listen = f"127.0.0.1:{prometheus.free_port()}"
    with Receiver(tmp_path_factory.mktemp("otlp") / "got.jsonl") as receiver:
        plan = Plan(
            ["retail-store"],
            name=f"prom{os.getpid() % 10000}",
            listen=listen,
            agent_options=["--listen", f"127.0.0.1:{AGENT_PORT}", "--reference-metrics"],
            server_options=["--otlp", receiver.url],
        )
        with Stack(plan) as stack:
            assert stack.lab is not None
            relays = {n.name: Relay(Path(f"/proc/{n.pid}/ns/net"), ("127.0.0.1", AGENT_PORT)) for n in stack.lab.nodes}
            agents = {name: relay.address for name, relay in relays.items()}
            jobs = {"agent": ("/metrics", list(agents.values())), "server": ("/api/v1/metrics", [listen])}
            stack.wait_for_edges()
            with prometheus.running(tmp_path_factory.mktemp("prometheus"), jobs) as made:
                made.wait_for("every target to be up", lambda: len(made.query("up == 1")) == 4)
                made.wait_for("pairs", lambda: (made.value("eastwest_pair_series") or 0) > 8)
                time.sleep(prometheus.WINDOW_S + HOLD_S)
                yield Watched(stack, made, agents, receiver)
            for relay in relays.values():
                relay.close()


def samples(text: str) -> list[Any]:
    families = list(parser.text_string_to_metric_families(text))
    assert {f.name for f in families} <= {f.name for f in ALL}
    return [s for f in families for s in f.samples]


def test_nothing_fires_and_every_panel_has_data_or_says_why_not(watched: Watched) -> None:
    assert watched.prometheus.alerts("firing") == []
    for title, panel in panels():
        found = [watched.prometheus.query(filled_in(target["expr"])) for target in panel["targets"]]
        needs = panel["fieldConfig"]["defaults"]["noValue"].startswith("No data. Needs ")
        assert any(found) or needs, title


def test_pods_are_known_by_name(watched: Watched) -> None:
    bytes_of_pods = watched.prometheus.query('eastwest_pod_ingress_bytes_total{namespace="catalog"}')
    assert any(entry["metric"]["pod"].startswith("catalog-mysql") for entry in bytes_of_pods)
    nameless = 'count(eastwest_pod_ingress_bytes_total{namespace="", pod_uid!="unknown"})'
    watched.prometheus.wait_for("every pod to have a name", lambda: watched.prometheus.value(nameless) is None)
    assert watched.prometheus.query("topk(3, rate(ingress_bytes[8s]))")


def test_the_books_close_in_metrics_too(watched: Watched) -> None:
    assert watched.prometheus.value("sum(eastwest_node_unexplained_bytes_total)") == 0
    assert watched.prometheus.value("sum(eastwest_node_hook_bytes_total) > 100000") is not None


def test_a_scrape_takes_nothing_from_anybody(watched: Watched) -> None:
    node = next(iter(watched.agents))
    before: dict[Any, float] = {}
    for _ in range(5):
        seen = {(s.name, frozenset(s.labels.items())): s.value for s in samples(watched.agent(node))}
        assert all(seen[key] >= v for key, v in before.items() if key[0].endswith("_total") and key in seen)
        before = seen
    assert samples(watched.server())


def test_nodes_are_measured_from_inside(watched: Watched) -> None:
    assert len(watched.prometheus.query("eastwest_node_conntrack_entries > 0")) == 3
    interfaces = watched.prometheus.query('eastwest_node_interface_bytes_total{direction="receive"} > 0')
    assert {entry["metric"]["interface"] for entry in interfaces} >= {"eth0"}
    assert len(interfaces) < 12, "pods' own interfaces are not the node's"


def test_flows_and_metrics_arrive_by_otlp(watched: Watched) -> None:
    logs = [
        attributes(record)
        for message in watched.otlp.got("logs")
        for record in message["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    ]
    pairs = {(entry.get("eastwest.src_workload"), entry.get("eastwest.dst_workload")) for entry in logs}
    assert ("catalog", "catalog-mysql") in pairs
    sent = watched.prometheus.value('eastwest_server_otlp_exported_total{signal="logs"}')
    stored = watched.prometheus.value("eastwest_server_records_total")
    assert sent is not None
    assert stored is not None
    assert stored - 200 < sent <= stored
    assert watched.prometheus.query("eastwest_server_otlp_lost_total > 0") == []
    names = {
        m["name"] for g in watched.otlp.got("metrics") for m in g["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    }
    assert {"eastwest_pair_bytes", "eastwest_server_records"} <= names


def test_loss_is_seen_within_half_a_minute_at_the_right_edge_only(watched: Watched) -> None:
    assert watched.stack.lab is not None
    pods = watched.stack.lab.objects("Pod")
    mysql = next(p["metadata"]["name"] for p in pods if p["metadata"]["name"].startswith("catalog-mysql"))
    storms = (
        'sum by (source, destination) (increase(eastwest_pair_tcp_retransmissions_total{phase!="closing"}[8s])) > 1'
    )
    assert watched.prometheus.query(storms) == []
    watched.stack.lab.fault(f"catalog/{mysql}", loss=20.0)
    try:
        watched.prometheus.wait_for("retransmissions", lambda: watched.prometheus.query(storms), 30)
        firing = lambda: [a for a in watched.prometheus.alerts() if a["alertname"] == "EastwestRetransmissionStorm"]  # noqa: E731
        watched.prometheus.wait_for("the alert", firing, 30)
        assert {(a["source"], a["destination"]) for a in firing()} == {("catalog", "catalog-mysql")}
    finally:
        watched.stack.lab.fault(clear=True)


def test_the_sum_over_pairs_is_the_flow_table(watched: Watched) -> None:
    """Last: it stops the agents, so that both stand still."""
    for agent in watched.stack.agents.values():
        agent.stop()
    time.sleep(HOLD_S + 2)
    edges = watched.stack.get("/api/v1/service-map", window="15m")["edges"]
    expected = {n: sum(e[n] for e in edges) for n in ("bytes_forward", "bytes_reverse", "connections")}
    seen = samples(watched.server())

    def total(name: str, direction: str | None = None) -> int:
        return int(sum(s.value for s in seen if s.name == name and s.labels.get("direction") == direction))

    assert expected["connections"] > 50
    assert {
        "bytes_forward": total("eastwest_pair_bytes_total", "forward"),
        "bytes_reverse": total("eastwest_pair_bytes_total", "reverse"),
        "connections": total("eastwest_pair_connections_total"),
    } == expected
