"""tc filters instead of TCX links: the same books, handed over and cleaned up just so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.netlab import CALL, Node, bpffs
from agent.policy.planserver import serving
from agent.policy.running import CLOSED_PORT, OPEN_PORT, enforcing, in_force, plan_for
from agent.policy.test_enforcing import tried
from agent.receiver import Receiver, agent
from agent.test_restart import Stream, packets

pytestmark = pytest.mark.root


def filters(net: Node, veth: str) -> list[str]:
    """The names of ours, on both directions."""
    shown = [net.exec("tc", "filter", "show", "dev", veth, side) for side in ("ingress", "egress")]
    return [word for text in shown for word in text.split() if word == "eastwest"]


def test_books_close_and_nothing_is_left_but_what_was_there(net: Node, server: Receiver, tmp_path: Path) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(8080)
    net.exec("tc", "qdisc", "add", "dev", a.veth, "clsact")
    net.exec(
        "tc", "filter", "add", "dev", a.veth, "ingress", "prio", "5", "bpf", "bytecode", "1,6 0 0 0,", "flowid", "1:1"
    )
    with agent(net, server, tmp_path, "--attach", "clsact", tick_s=0.1) as running:
        server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 2, "both pods are known")
        assert filters(net, a.veth) == filters(net, b.veth) == ["eastwest", "eastwest"]
        before = {p.name: net.link_counters(p) for p in (a, b)}
        a.run(CALL.format(host=b.ipv4, port=8080, size=50_000))
        counted = {p.name: net.link_counters(p) for p in (a, b)}
        running.stop()
    server.assert_books_closed()
    assert {(k[0], k[7]) for k in server.edges()} == {("client", a.uid), ("server", b.uid)}
    for pod in (a, b):
        size, count = (x - y for x, y in zip(counted[pod.name], before[pod.name], strict=True))
        server.assert_hook_counted(pod.veth, size - 14 * count)
    states = {h.name: h.state for h in server.batches[-1][0].hooks}
    assert (states["tcx"], states["clsact"]) == ("off", "on")
    assert "clsact" not in net.exec("tc", "qdisc", "show", "dev", b.veth)
    assert "clsact" in net.exec("tc", "qdisc", "show", "dev", a.veth)
    assert "flowid 1:1" in net.exec("tc", "filter", "show", "dev", a.veth, "ingress")
    assert filters(net, a.veth) == []


def test_a_kill_is_taken_over_then_swept_by_tcx(net: Node, server: Receiver, tmp_path: Path) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(9000, kind="udp")
    spool = ("--spool", str(tmp_path / "spool"))
    with bpffs() as folder:
        options = ("--pin", str(folder / "eastwest"), *spool)
        for life in range(2):
            with agent(net, server, tmp_path, "--attach", "clsact", *options, tick_s=0.1) as running:
                if not life:
                    server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 2, "both pods are known")
                    stream = Stream(a, b.ipv4, 9000)
                seen = len(server.batches)
                server.wait(lambda r, seen=seen: len(r.batches) > seen + 2, "windows")  # type: ignore[misc]
                if life:
                    assert "2 interfaces are taken over" in running.words()
                    sent = stream.end()
                running.kill() if not life else running.stop()
        server.assert_books_closed()
        assert packets(server, a, b) == {"client": sent, "server": sent}
        assert filters(net, a.veth) == ["eastwest", "eastwest"]
        with agent(net, server, tmp_path, *options, tick_s=0.1) as running:
            assert filters(net, a.veth) == []
            running.stop()


def test_filters_of_a_killed_agent_without_pins_are_released(net: Node, server: Receiver, tmp_path: Path) -> None:
    a = net.pod("a")
    with agent(net, server, tmp_path, "--attach", "clsact", tick_s=0.1) as running:
        server.wait(lambda r: bool(r.batches) and bool(r.batches[-1][0].books), "the pod is known")
        running.kill()
    assert filters(net, a.veth) == ["eastwest", "eastwest"]
    argv = [
        "ip",
        "netns",
        "exec",
        net.netns,
        sys.executable,
        "-m",
        "eastwest",
        "agent",
        "--release",
        "--pin",
        "/nowhere",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.count("removed tc filter") == 2
    assert filters(net, a.veth) == []
    assert "clsact" not in net.exec("tc", "qdisc", "show", "dev", a.veth)


def test_a_filter_denies(net: Node, tmp_path: Path) -> None:
    client, target = net.pod("a"), net.pod("b")
    target.server(OPEN_PORT)
    target.server(CLOSED_PORT)
    with serving(tmp_path) as plans:
        plans.put(plan_for(1, client, target))
        with enforcing(net, plans.url, tmp_path, "--attach", "clsact"):
            in_force(plans, 1)
            assert tried(client, target, OPEN_PORT) == "open"
            assert tried(client, target, CLOSED_PORT) == "denied"
