"""Each gate by itself: what it lets pass, what it finds, and in which words."""

from __future__ import annotations

import pytest

from eastwest.enforce.rollout import gates
from eastwest.enforce.rollout.gates import TcpHealth, Unready, Watched
from eastwest.enforce.rollout.spec import Limits
from enforce.rollout.factories_rollout import SECOND, broken, request, seen

CALM = TcpHealth(segments=10_000, retransmits=10, attempts=1_000, failures=2)


def test_a_flow_is_named_with_its_reason_its_counts_and_how_often_it_was_seen() -> None:
    (found,) = gates.flows(seen(1, flows=(broken(("shop", "node-1"), enforced=True),)), request(), 0)
    assert found.text == (
        "shop/ui[Deployment] -> shop/cart[Deployment] TCP 8080 is denied: 4 packets, by "
        "NetworkPolicy shop/cart ingress isolation; 7 connections were established before"
    )
    assert (found.enforced, found.cells) == (True, (("shop", "node-1"),))
    assert not gates.flows(seen(1, flows=(broken(connections_before=0),)), request(), 0)


@pytest.mark.parametrize(
    ("now", "what"),
    [
        (TcpHealth(1_000, 1, 100, 0), None),
        (TcpHealth(1_000, 20, 100, 0), None),  # 2.0 %, 0.1 % before: within the margin of 2 %
        (TcpHealth(1_000, 40, 100, 0), "retransmitted segments: 40 (4.0%) since the step, 0.1% before it"),
        (TcpHealth(50, 4, 20, 4), None),  # fewer than five are no jump
        (TcpHealth(1_000, 0, 100, 9), "failed connections: 9 (9.0%) since the step, 0.2% before it"),
        (TcpHealth(1_000, None, None, None), None),
        (TcpHealth(0, 0, 0, 0), None),
    ],
)
def test_tcp_that_jumps_against_the_window_before(now: TcpHealth, what: str | None) -> None:
    found = gates.tcp(seen(1, tcp_before=CALM, tcp_now=now), request(), 0)
    assert [f.text for f in found] == ([what] if what else [])


def test_a_network_that_was_bad_before_is_not_the_steps_fault() -> None:
    bad = TcpHealth(1_000, 100, 100, 20)
    assert not gates.tcp(seen(1, tcp_before=bad, tcp_now=bad), request(), 0)
    unknown = gates.tcp(seen(1, tcp_before=TcpHealth(), tcp_now=bad), request(), 0)
    assert "unknown before it" in unknown[0].text


def test_coverage_below_the_threshold_and_agents_that_are_silent_for_too_long() -> None:
    nodes = (Watched("a", 0.94, 90 * SECOND), Watched("b", None, 90 * SECOND), Watched("c", 1.0, 20 * SECOND))
    found = gates.coverage(seen(100, nodes=nodes), request(), 10 * SECOND)
    assert [f.text.split(":")[0] for f in found] == ["node a", "node c"]
    assert "80 s" in found[1].text
    loose = request(limits=Limits(coverage_ratio=0.9), patience_ns=90 * SECOND)
    assert not gates.coverage(seen(100, nodes=nodes), loose, 10 * SECOND)


def test_a_node_may_be_late_but_not_for_ever() -> None:
    late = (("node-1", "the map is full"),)
    assert not gates.realised(seen(69, unrealised=late), request(), 10 * SECOND)
    (found,) = gates.realised(seen(71, unrealised=late), request(), 10 * SECOND)
    assert found.text == "node node-1: not in force after 61 s: the map is full"


def test_readiness_says_which_pod_and_since_when() -> None:
    unready = (Unready("shop", "web-1", "node-1"), Unready("shop", "web-2", "node-2", new=True))
    texts = [f.text for f in gates.readiness(seen(1, unready=unready), request(), 0)]
    assert texts == [
        "pod shop/web-1 on node-1 was ready before the step and is not now",
        "pod shop/web-2 on node-2 began after the step and does not become ready",
    ]
