"""A fault between two nodes is visible within half a minute: metric, alert, map edge and flow table, at the right edge only.

`far` asks `mill` across the link of its node, which gets worse; `near` asks it on the same node and `other` from a third.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import manifests
from deploy import prometheus
from deploy.prometheus import Prometheus
from eastwest.cli._stack import Plan, Stack
from eastwest.query.metrics.reports import HOLD_S
from manifests import Port

pytestmark = [pytest.mark.root, pytest.mark.timeout(300), prometheus.needed]
VISIBLE_S = 30
SLOW_US = 65_536

MILL = Port("grind", 9000, asked=7000)
CALLS = {"to": "tcp://mill:7000", "rate": "20/s", "bytes": 20000}
PLACES = {"mill": "node-1", "near": "node-1", "far": "node-2", "other": "node-3"}


@dataclass
class Watched:
    stack: Stack
    prometheus: Prometheus

    def storms(self) -> set[str]:
        found = self.prometheus.query(
            "sum by (source) (rate(eastwest_pair_tcp_retransmissions_total{source_namespace='farm'}[8s])) > 0.5"
        )
        return {entry["metric"]["source"] for entry in found}

    def slow(self) -> set[str]:
        """Whose round trips take long, as the metric says."""
        pairs = "sum by (source) (rate(eastwest_pair_tcp_rtt_seconds_{}{{source_namespace='farm'{}}}[8s]))"
        fast = pairs.format("bucket", ',le="0.065536"')
        found = self.prometheus.query(f"1 - {fast} / {pairs.format('count', '')} > 0.25")
        return {entry["metric"]["source"] for entry in found}

    def firing(self, name: str) -> set[str]:
        return {a["source"] for a in self.prometheus.alerts() if a["alertname"] == name}

    def edges(self) -> dict[str, dict[str, Any]]:
        found = self.stack.get("/api/v1/service-map", window="8s", namespace="farm")["edges"]
        return {e["source"].rpartition("/")[2]: e for e in found if e["target"].endswith("/mill")}

    def rows(self) -> dict[str, dict[str, Any]]:
        found = self.stack.get("/api/v1/flows", window="8s", filter="dst_workload=mill")["rows"]
        return {r["src_workload"]: r for r in found}

    def fault(self, **what: Any) -> None:
        assert self.stack.lab is not None
        self.stack.lab.fault(**what)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("farm")
    callers = [
        manifests.stateful_set(name, "farm", CALLS, node=node) for name, node in PLACES.items() if name != "mill"
    ]
    mill = manifests.deployment("mill", "farm", [MILL], node=PLACES["mill"])
    farm = [manifests.namespace("farm"), mill, manifests.service("mill", "farm", [MILL]), *callers]
    manifests.write(folder / "farm.yaml", farm)
    listen = f"127.0.0.1:{prometheus.free_port()}"
    with Stack(Plan([str(folder)], name=f"opsflt{os.getpid() % 10000}", listen=listen)) as stack:
        jobs = {"server": ("/api/v1/metrics", [listen])}
        with prometheus.running(tmp_path_factory.mktemp("prometheus"), jobs) as made:
            made.wait_for("three edges", lambda: len(made.query("eastwest_pair_connections_total > 20")) >= 3)
            time.sleep(prometheus.WINDOW_S + HOLD_S)
            yield Watched(stack, made)


def seen_everywhere(watched: Watched, checks: dict[str, Callable[[], set[str]]]) -> dict[str, float]:
    """Seconds from now until each place shows it; then every place shows `far` alone."""
    began, took = time.monotonic(), {}
    while len(took) < len(checks):
        for name, check in checks.items():
            if name not in took and "far" in check():
                took[name] = time.monotonic() - began
        assert time.monotonic() - began < VISIBLE_S, f"shown by {took}"
        time.sleep(0.3)
    assert {name: check() for name, check in checks.items()} == {name: {"far"} for name in checks}
    return took


def test_a_quiet_run_raises_nothing(watched: Watched) -> None:
    assert watched.prometheus.alerts("firing") + watched.prometheus.alerts("pending") == []
    assert set(watched.edges()) == {"near", "far", "other"}
    assert watched.storms() | watched.slow() == set()


def test_five_percent_loss_between_two_nodes(watched: Watched) -> None:
    watched.fault(target="node:node-2", loss=5.0)
    try:
        took = seen_everywhere(
            watched,
            {
                "metric": watched.storms,
                "alert": lambda: watched.firing("EastwestRetransmissionStorm"),
                "map": lambda: {name for name, e in watched.edges().items() if (e["retransmits"] or 0) > 3},
                "flows": lambda: {name for name, r in watched.rows().items() if (r["retransmits"] or 0) > 3},
            },
        )
    finally:
        watched.fault(clear=True)
    print("loss seen after", {name: f"{seconds:.1f} s" for name, seconds in took.items()})
    watched.prometheus.wait_for("quiet again", lambda: not watched.prometheus.alerts("firing"))


def test_a_bandwidth_cap(watched: Watched) -> None:
    watched.fault(target="node:node-2", rate="2mbit")
    try:
        took = seen_everywhere(
            watched,
            {
                "metric": watched.slow,
                "alert": lambda: watched.firing("EastwestSlowRoundTrips"),
                "map": lambda: {n for n, e in watched.edges().items() if (e["rtt_p50_us"] or 0) > SLOW_US},
                "flows": lambda: {n for n, r in watched.rows().items() if (r["rtt_p50_us"] or 0) > SLOW_US},
            },
        )
    finally:
        watched.fault(clear=True)
    print("cap seen after", {name: f"{seconds:.1f} s" for name, seconds in took.items()})
