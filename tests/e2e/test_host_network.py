"""Host-network pods in a whole cluster: an exporter on each node, asked by a pod and asking one, from the wire to the table."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

import manifests
from e2e import expected
from eastwest.cli._stack import Plan, Stack, StackError
from eastwest.cli.main import main
from manifests import Port

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

ASKED, SINK = (Port("metrics", 9100, asked=9100),), (Port("in", 9000, asked=7000),)
CALLS = {"to": "tcp://sink:7000", "rate": "5/s"}
EDGES = {
    ("watch/scraper", "watch/exporter", "TCP", 9100),
    ("watch/exporter", "watch/sink", "TCP", 9000),
    ("watch/scraper", expected.DNS, "UDP", 53),
    ("watch/exporter", expected.DNS, "UDP", 53),
}


def exporter() -> dict[str, Any]:
    """A host-network pod on each node, as node exporters are."""
    made = manifests.stateful_set("exporter", "watch", CALLS)
    made["kind"] = "DaemonSet"
    del made["spec"]["serviceName"]
    spec = made["spec"]["template"]["spec"]
    spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    spec["containers"][0]["ports"] = [{"name": "metrics", "containerPort": 9100}]
    return made


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("watch")
    objects = (
        manifests.namespace("watch"), exporter(), manifests.service("exporter", "watch", ASKED),
        manifests.deployment("sink", "watch", SINK), manifests.service("sink", "watch", SINK),
        manifests.stateful_set("scraper", "watch", {"to": "tcp://exporter:9100", "rate": "10/s"}),
    )  # fmt: skip
    manifests.write(folder / "watch.yaml", objects)
    plan = Plan([str(folder)], name=f"hostnet{os.getpid() % 100000}", listen="127.0.0.1:0", agent_options=["--host"])
    with Stack(plan) as running:
        running.wait_for("the edges of host-network pods", lambda: _ours(running) >= EDGES, 120)
        yield running


def _map(stack: Stack) -> dict[str, Any]:
    answer: dict[str, Any] = stack.get("/api/v1/service-map", window="15m")
    return answer


def _ours(stack: Stack) -> set[expected.Edge]:
    return {e for e in expected.seen(_map(stack)) if any(str(end).startswith("watch/") for end in e[:2])}


def _rows(stack: Stack, filter_: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = stack.get("/api/v1/flows", window="15m", filter=filter_, limit="500")["rows"]
    return rows


def test_they_are_ends_of_their_own_on_the_map_and_no_edge_is_there_twice(stack: Stack) -> None:
    with contextlib.suppress(StackError):  # the client's end may come in after the server's; the sets say more
        stack.wait_for("both ends of each", lambda: _ours(stack) == EDGES, 60)
    assert _ours(stack) == EDGES
    assert expected.doubled(_map(stack)) == []


def test_the_table_names_each_pod_and_says_how(stack: Stack) -> None:
    def every_node() -> bool:
        asked = {r["dst_node"] for r in _rows(stack, "dst_port=9100") if r["dst_named_by"] == "host_socket"}
        asking = {r["src_node"] for r in _rows(stack, "dst_port=9000") if r["src_named_by"] == "host_socket"}
        return len(asked) == len(asking) == len(stack.lab.nodes)

    stack.wait_for("an exporter of each node, as server and as client", every_node, 120)
    rows = [r for r in _rows(stack, "dst_port=9100") if r["dst_named_by"] == "host_socket"]
    assert {(r["dst_kind"], r["dst_workload"], r["dst_workload_kind"]) for r in rows} == {
        ("pod", "exporter", "DaemonSet")
    }
    assert {r["service"] for r in rows} == {"exporter"}
    assert not {r["category"] for r in rows} & {"node", "unknown"}


def test_the_command_line_filters_by_it(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flows", "src_workload=exporter", "--server", stack.url, "--window", "15m"]) == 0
    out = capsys.readouterr().out
    assert "watch/exporter" in out
    assert "watch/sink" in out
    assert "scraper" not in out
