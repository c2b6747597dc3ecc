"""TCP health, DNS names and drops on real packets: at the right edge only, and equal to what the kernel counted itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import manifests
from eastwest.cli._stack import Plan, Stack
from manifests import Port

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

PORTS = (Port("milk", 9000, asked=7000), Port("moo", 9001, asked=7001, protocol="UDP"))
MILK = {"to": "tcp://cow:7000", "rate": "10/s", "bytes": 20000}
BARN = (
    manifests.namespace("barn"),
    manifests.deployment("cow", "barn", PORTS),
    manifests.service("cow", "barn", PORTS),
    manifests.stateful_set("hen", "barn", MILK, {"to": "udp://cow:7001", "rate": "5/s"}),
    manifests.stateful_set("duck", "barn", MILK),
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("barn")
    manifests.write(folder / "barn.yaml", BARN)
    plan = Plan([str(folder), "photo-gallery"], name=f"hlth{os.getpid() % 100000}", listen="127.0.0.1:0")
    with Stack(plan) as running:
        running.wait_for("hens and ducks at the cow", lambda: len(_edges(running)) >= 3, 60)
        yield running


def _edges(stack: Stack) -> dict[tuple[str, str], dict[str, Any]]:
    """By (animal, protocol): the edges to the cow."""
    edges = stack.get("/api/v1/service-map", window="15m", namespace="barn")["edges"]
    return {(e["source"].rpartition("/")[2], e["protocol"]): e for e in edges if e["target"].endswith("/cow")}


def _rows(stack: Stack, **params: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = stack.get("/api/v1/flows", window="15m", limit="1000", **params)["rows"]
    return rows


def test_every_hook_is_on_and_says_so(stack: Stack) -> None:
    for node in stack.get("/api/v1/coverage", window="5m")["nodes"]:
        states = {h["name"]: (h["state"], h["reason"]) for h in node["hooks"]}
        assert {n: states.get(n) for n in ("sock_ops", "drops", "dns")} == dict.fromkeys(
            ("sock_ops", "drops", "dns"), ("on", None)
        )


def test_tcp_has_round_trip_times_and_udp_has_none(stack: Stack) -> None:
    stack.wait_for("a round-trip time", lambda: _edges(stack)["hen", "TCP"]["rtt_p50_us"] is not None, 20)
    found = _edges(stack)
    tcp, udp = found["hen", "TCP"], found["hen", "UDP"]
    assert 0 < tcp["rtt_min_us"] <= tcp["rtt_mean_us"] < 1_000_000
    assert tcp["rtt_p50_us"] <= tcp["rtt_p99_us"]
    assert tcp["connection_attempts"] == pytest.approx(tcp["connections"], abs=15)
    assert tcp["connect_mean_us"] > 0
    assert tcp["category"] is not None
    assert [udp[n] for n in ("rtt_min_us", "rtt_p50_us", "retransmits", "resets")] == [None] * 4
    assert udp["drops"] == 0


def test_loss_at_one_pod_is_seen_at_its_edges_and_equals_its_kernels_counters(stack: Stack) -> None:
    lab = stack.lab
    assert lab is not None
    lab.fault("barn/hen-0", loss=15.0)
    try:
        stack.wait_for("retransmissions", lambda: _edges(stack)["hen", "TCP"]["retransmits"] > 5, 40)
    finally:
        lab.fault(clear=True)
    assert _edges(stack)["duck", "TCP"]["retransmits"] == 0
    stack.wait_for("the figures to meet", lambda: _of_the_hen(stack) == _kernels(stack), 20)


def _kernels(stack: Stack) -> int:
    """Segments that the hen's own network namespace has sent again since it began."""
    assert stack.lab is not None
    done = stack.lab.exec("barn", "hen-0", ["nstat", "-asz", "TcpRetransSegs"])
    return int(done.stdout.split("TcpRetransSegs")[1].split()[0])


def _of_the_hen(stack: Stack) -> int:
    """What the hen's node reported of it, every edge."""
    bundle = _records(stack)
    return sum(
        r[f"retransmits_{phase}"] or 0
        for r in bundle
        if r["reporter"] == "client" and r["src_pod"] == "hen-0"
        for phase in ("syn", "established", "closing")
    )


def _records(stack: Stack) -> list[dict[str, Any]]:
    import io

    import httpx

    from eastwest.wire.bundle import read

    answer = httpx.get(f"{stack.url}/api/v1/bundle", params={"window": "15m"}, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    path = Path(stack.folder) / "bundle.zip"
    path.write_bytes(io.BytesIO(answer.content).getvalue())
    found: list[dict[str, Any]] = read(path).flows.to_pylist()
    return found


def test_ends_outside_have_the_names_by_which_they_were_asked_for(stack: Stack) -> None:
    def nameless() -> list[dict[str, Any]]:
        outside = [r for r in _rows(stack) if r["dst_kind"] in ("aws", "internet") and r["src_kind"] == "pod"]
        return [r for r in outside if r["dst_dns_name"] is None] if outside else [{}]

    stack.wait_for("names", lambda: not nameless(), 30)
    names = {r["dst_dns_name"] for r in _rows(stack) if r["dst_kind"] == "aws"}
    assert any(name.endswith(".amazonaws.com") for name in names), names


def test_the_books_stay_closed(stack: Stack) -> None:
    time.sleep(2)  # two more windows
    coverage = stack.get("/api/v1/coverage", window="5m")
    assert coverage["unexplained_bytes"] == coverage["unexplained_packets"] == 0
    assert coverage["lost"] == {}
