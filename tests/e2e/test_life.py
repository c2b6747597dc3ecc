"""A scenario the product has never seen, and what happens to it: outages, restarts, addresses that change hands."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import manifests
from e2e import expected
from eastwest.cli._stack import Plan, Stack, StackError
from eastwest.cli.main import main
from manifests import Port

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

PORTS = (Port("den", 9000, asked=7000), Port("burrow", 9001, asked=7001, protocol="UDP"))
CALLS = (
    {"to": "tcp://lodge:7000", "rate": "5/s", "bytes": 1000},
    {"to": "udp://lodge:7001", "rate": "5/s", "family": 6},
)
ZOO = (
    manifests.namespace("zoo"),
    manifests.deployment("lodge", "zoo", PORTS, replicas=2),
    manifests.service("lodge", "zoo", PORTS),
    manifests.stateful_set("otter", "zoo", *CALLS),
)
EDGES = {
    ("zoo/otter", "zoo/lodge", "TCP", 9000),
    ("zoo/otter", "zoo/lodge", "UDP", 9001),
    ("zoo/otter", expected.DNS, "UDP", 53),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("zoo")
    manifests.write(folder / "zoo.yaml", ZOO)
    # A part of the cgroup tree that is not there: the kernel refuses sock_ops on every node.
    refused = ["--cgroup", str(folder / "no-such-cgroup")]
    plan = Plan([str(folder)], name=f"life{os.getpid() % 100000}", listen="127.0.0.1:0", agent_options=refused)
    with Stack(plan) as running:
        # Here and not in the first test, so that each of them can run alone.
        running.wait_for("the zoo's edges", lambda: expected.seen(_map(running)) >= EDGES, 60)
        yield running


def _map(stack: Stack, **params: str) -> dict[str, Any]:
    answer: dict[str, Any] = stack.get("/api/v1/service-map", **{"window": "15m", **params})
    return answer


def _edge(stack: Stack, port: int, **params: str) -> dict[str, Any]:
    """The one edge from the otter to that port of the lodge."""
    edges = [e for e in _map(stack, **params)["edges"] if e["dst_port"] == port and "otter" in e["source"]]
    assert len(edges) == 1, edges
    return dict(edges[0])


def test_a_scenario_nobody_knew(stack: Stack) -> None:
    assert expected.seen(_map(stack)) - expected.SYSTEM == EDGES
    assert expected.doubled(_map(stack)) == []
    edge = _edge(stack, 9000)
    assert (edge["service"], edge["service_port"]) == ("lodge", 7000)


def test_what_a_refused_hook_would_tell_is_unknown_with_the_reason(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    edge = _edge(stack, 9000)
    told = ("retransmits", "rtos", "resets", "connection_failures", "rtt_p50_us", "connect_mean_us")
    assert {name: edge[name] for name in told} == dict.fromkeys(told)  # unknown is never 0
    assert edge["drops"] is not None  # this hook is on; a busy kernel may really drop one
    coverage = stack.get("/api/v1/coverage", window="15m")
    for node in coverage["nodes"]:
        (hook,) = [h for h in node["hooks"] if h["name"] == "sock_ops"]
        assert (hook["state"], "no-such-cgroup" in hook["reason"]) == ("refused", True)
        assert "retransmits_established" in hook["columns"]
    said = [s for s in coverage["sentences"] if "refused hook sock_ops" in s]
    assert len(said) == len(coverage["nodes"])
    assert main(["map", "--server", stack.url, "-n", "zoo", "--columns", "health"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = lines[0].split("\t")
    shown = [dict(zip(heads, line.split("\t"), strict=True)) for line in lines[1:] if not line.startswith("#")]
    (row,) = [r for r in shown if r["TO"] == "zoo/lodge" and r["PORT"] == "TCP 9000"]
    assert (row["RTT P50"], row["SENT AGAIN"], row["DROPS"].isdigit()) == ("–", "–", True)
    assert any("refused hook sock_ops" in line for line in lines if line.startswith("#"))


def test_ipv6_is_recorded_under_its_own_addresses(stack: Stack) -> None:
    rows = stack.get("/api/v1/flows", window="15m", filter="dst_port=9001", limit="100")["rows"]
    assert rows
    assert all(":" in row["src_ip"] and ":" in row["dst_ip"] for row in rows)
    assert all(row["dst_workload"] == "lodge" for row in rows)


def test_a_server_that_dies_loses_nothing_that_it_took(stack: Stack) -> None:
    """kill -9 while data comes in: what was acknowledged is there, what was not is sent again, nothing twice."""
    assert stack.server is not None
    assert stack.server.process is not None
    os.kill(stack.server.process.pid, signal.SIGKILL)
    stack.server.process.wait()
    stack.start_server()
    back_ns = time.time_ns()
    stack.wait_for(
        "every agent to catch up",
        lambda: all(n["last_window_end_ns"] > back_ns for n in _coverage_nodes(stack, "5m")),
        30,
    )
    with contextlib.suppress(StackError):
        stack.wait_for("no gap", lambda: not _gaps(stack), 20)
    assert _gaps(stack) == [], "\n".join(part.last_words() for part in stack.parts())
    coverage = stack.get("/api/v1/coverage", window="5m")
    assert coverage["unexplained_bytes"] == 0
    assert coverage["lost"] == {}


def _gaps(stack: Stack) -> list[Any]:
    """Node, end of its last window and gaps, of each node that has one: a gap that begins at that end is no hole, but late."""
    nodes = _coverage_nodes(stack, "5m")
    return [(n["node"], n["last_window_end_ns"], n["gaps_ns"]) for n in nodes if n["gaps_ns"]]


def test_an_agent_that_dies_comes_back_and_nothing_is_missing(stack: Stack) -> None:
    """The next one takes over what goes on counting in the kernel: one window spans the absence."""
    node = next(iter(stack.agents))
    process = stack.agents[node].process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(3)  # the absence itself: longer than two windows
    returned_ns = time.time_ns()
    stack.start_agent(node)
    stack.wait_for("its books to go on", lambda: _of(stack, node)["last_window_end_ns"] > returned_ns + 2 * 10**9, 20)
    assert "taken over from the agent before" in stack.agents[node].log.read_text()
    assert _of(stack, node)["unexplained_bytes"] == 0
    lost = _of(stack, node)["lost"]
    assert set(lost) <= {"agent_ended"}  # a window that had not been sent when it was killed
    assert _of(stack, node)["gaps_ns"] == [] or lost


def _of(stack: Stack, node: str) -> dict[str, Any]:
    return next(n for n in _coverage_nodes(stack, "5m") if n["node"] == node)


def _coverage_nodes(stack: Stack, window: str) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = stack.get("/api/v1/coverage", window=window)["nodes"]
    return nodes


def _visitor(name: str, ip: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "zoo", "annotations": {"eastwest.lab/ips": ip}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "a", "image": "a", "ports": [{"containerPort": 9100}]}]},
    }


def test_an_address_that_changes_hands_makes_no_false_edge(stack: Stack) -> None:
    """One pod's address goes to another a second later; a third one talks to both."""
    assert stack.lab is not None
    ip = "10.244.0.77"
    caller = "zoo/otter-0"
    stack.lab.apply_objects([_visitor("first", ip)])
    assert stack.lab.probe(caller, f"{ip}:9100/TCP").reachable
    stack.wait_for(
        "the first visitor", lambda: ("zoo/otter", "zoo/first", "TCP", 9100) in expected.seen(_map(stack)), 20
    )
    before = _bytes_to(stack, "first")
    stack.lab.delete("Pod", "zoo", "first")
    stack.wait_for("the first visitor to be gone", lambda: not _pod_exists(stack, "first"), 20)
    time.sleep(1)  # the case itself: one second between two owners
    stack.lab.apply_objects([_visitor("second", ip)])
    for _ in range(5):
        assert stack.lab.probe(caller, f"{ip}:9100/TCP").reachable
    stack.wait_for(
        "the second visitor", lambda: ("zoo/otter", "zoo/second", "TCP", 9100) in expected.seen(_map(stack)), 20
    )
    assert _bytes_to(stack, "first") == before, "the second visitor's traffic was given to the first"


def _bytes_to(stack: Stack, name: str) -> int:
    ends = {n["id"]: n["name"] for n in _map(stack)["nodes"]}
    return sum(e["bytes_forward"] for e in _map(stack)["edges"] if ends[e["target"]] == name)


def _pod_exists(stack: Stack, name: str) -> bool:
    assert stack.lab is not None
    return any(p["metadata"]["name"] == name for p in stack.lab.objects("Pod"))


def test_pods_that_come_and_go_are_seen(stack: Stack) -> None:
    """Every one of thirty short jobs makes its one connection visible."""
    assert stack.lab is not None
    jobs = [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"errand-{i}", "namespace": "zoo"},
            "spec": {
                "template": {
                    "metadata": {
                        "labels": {"errand": str(i)},
                        "annotations": {"eastwest.lab/calls": '- {to: "tcp://lodge:7000"}'},
                    },
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]},
                }
            },
        }
        for i in range(30)
    ]
    stack.lab.apply_objects(jobs, wait=False)
    wanted = {(f"zoo/errand-{i}", "zoo/lodge", "TCP", 9000) for i in range(30)}
    stack.wait_for("every errand", lambda: expected.seen(_map(stack)) >= wanted, 60)


def test_nothing_is_left_behind(stack: Stack) -> None:
    """Runs last: the lab's cgroup, state folder and the stack's own folder are gone after the end."""
    assert stack.lab is not None
    cgroup, state, folder = Path(stack.lab.state.cgroup), stack.lab.files.folder, stack.folder
    assert cgroup.exists()
    stack.stop()
    assert not cgroup.exists()
    assert not state.exists()
    assert not folder.exists()
