"""The shipped scenarios at work: purchases succeed, and really fail when something they need is cut."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eastwest.lab.runtime import Lab
from eastwest.lab.shipped import scenario_names

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def shop(run_dir: Path) -> Iterator[Lab]:
    made = Lab.up(scenario_names(), f"shop{os.getpid()}")
    yield made
    made.down()


def purchases(lab: Lab) -> dict[str, Any]:
    client = next((c for c in lab.clients() if c["name"] == "ui.ui-lb"), {"requests": {}, "updated_ns": 0})
    return {**client["requests"].get("POST /purchase", {}), "updated_ns": client["updated_ns"]}


def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_purchases_succeed(shop: Lab) -> None:
    assert until(lambda: "attempted" in purchases(shop))
    before = purchases(shop)
    assert until(lambda: purchases(shop)["succeeded"] >= before["succeeded"] + 30)
    after = purchases(shop)
    assert after["failed"] == 0, after["last_failure"]
    rate = (after["succeeded"] - before["succeeded"]) / ((after["updated_ns"] - before["updated_ns"]) / 1e9)
    assert rate > 4, f"{rate:.1f} purchases per second"


@pytest.mark.parametrize(
    ("kind", "namespace", "name"),
    [
        ("StatefulSet", "orders", "orders-rabbitmq"),
        ("Deployment", "checkout", "checkout-redis"),
        ("Deployment", "orders", "orders"),
    ],
)
def test_a_purchase_needs_every_part(shop: Lab, kind: str, namespace: str, name: str) -> None:
    shop.scale(kind, namespace, name, 0)
    before = purchases(shop)["failed"]
    assert until(lambda: purchases(shop)["failed"] > before + 3)
    assert name in purchases(shop)["last_failure"]
    shop.scale(kind, namespace, name, 1)
    shop.wait()
    settled = purchases(shop)["succeeded"]
    assert until(lambda: purchases(shop)["succeeded"] > settled + 10)


def test_the_report_runs_once_and_ends(shop: Lab) -> None:
    job = shop.trigger("orders", "orders-report")

    def phase() -> str | None:
        pods = [p for p in shop.objects("Pod") if p["metadata"]["labels"].get("job-name") == job]
        return pods[0]["status"]["phase"] if pods else None

    assert until(lambda: phase() == "Succeeded")


def test_a_load_balancer_with_local_policy_keeps_the_clients_address(shop: Lab) -> None:
    ui = next(p for p in shop.objects("Pod") if p["metadata"]["labels"].get("app.kubernetes.io/name") == "ui")

    def seen() -> bool:
        text = shop.exec("ui", ui["metadata"]["name"], ["ss", "-Htn"]).stdout
        return "198.51.100.10" in text

    assert until(seen)


def test_a_load_balancer_with_cluster_policy_shows_node_addresses(shop: Lab) -> None:
    nodes = {node.ips[0] for node in shop.nodes}

    def seen() -> bool:
        text = shop.exec("istio-ingress", "istio-ingressgateway", ["ss", "-Htn", "sport", "=", ":8080"]).stdout
        return any(ip in text for ip in nodes) and "198.51.100.10" not in text

    assert until(seen)


def test_a_load_balancer_has_an_address_of_each_family(shop: Lab) -> None:
    service = next(s for s in shop.objects("Service") if s["metadata"]["name"] == "ui-lb")
    for entry in service["status"]["loadBalancer"]["ingress"]:
        script = "import socket, sys; socket.create_connection((sys.argv[1], 80), 3).close()"
        argv = shop.internet_command([sys.executable, "-c", script, entry["ip"]])
        assert subprocess.run(argv, check=False, capture_output=True, text=True).returncode == 0, entry
