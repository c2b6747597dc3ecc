"""Packets by verdict and policy against the records' own counters: equal at every cap."""

from __future__ import annotations

import itertools

import pytest

from eastwest.query.metrics.labels import OTHER
from eastwest.query.metrics.pairs import FlowMetrics
from query.metrics.test_pairs import NOW, SERVERS_VIEW, UI_CARTS, samples
from store.factories_flows import internet, pod, record, table

NAME = "eastwest_policy_packets_total"


def packets(metrics: FlowMetrics) -> dict[tuple[str, ...], int]:
    names = ("workload", "direction", "verdict", "policy")
    return {tuple(s.labels.get(n, "") for n in names): int(s.value) for s in samples(metrics) if s.name == NAME}


def test_each_end_counts_its_own_decisions_under_its_own_workload() -> None:
    metrics = FlowMetrics()
    metrics.take(
        table(
            UI_CARTS | {"policy_allowed": 7, "policy_denied": 0, "allowed_by": "NetworkPolicy shop/ui egress[2]"},
            SERVERS_VIEW | {"policy_denied": 3, "denied_by": "NetworkPolicy shop/carts ingress isolation"},
            SERVERS_VIEW | {"dst_port": 9, "policy_would_deny": 2, "denied_by": "Admin no-telnet ingress[0]"},
            UI_CARTS | {"dst_port": 10, "policy_denied": 1, "denied_by": "Posture egress"},
        ),
        NOW,
    )
    assert packets(metrics) == {
        ("ui", "egress", "allowed", "NetworkPolicy shop/ui"): 7,
        ("carts", "ingress", "denied", "NetworkPolicy shop/carts"): 3,
        ("carts", "ingress", "would_deny", "Admin no-telnet"): 2,
        ("ui", "egress", "denied", "Posture"): 1,
    }


def test_a_report_without_roles_counts_for_the_end_that_most_likely_serves() -> None:
    late = record(
        pod("src", "shop", "carts", ip="10.0.1.1"), pod("dst", "shop", "ui", ip="10.0.0.1"),
        reporter="unknown", src_port=8080, dst_port=40000, policy_denied=4, denied_by="Posture ingress",
    )  # fmt: skip
    metrics = FlowMetrics()
    metrics.take(table(late), NOW)
    assert packets(metrics) == {("carts", "ingress", "denied", "Posture"): 4}


@pytest.mark.parametrize("cap", [0, 1, 5, 1000])
def test_the_sum_over_series_is_the_sum_of_the_records_at_every_cap(cap: int) -> None:
    metrics = FlowMetrics(cap)
    names = [("ui", f"10.0.0.{i}") for i in range(1, 5)] + [("cart", "10.0.0.9")]
    rows = [
        record(pod("src", space, name, ip=ip), internet("dst", "93.184.216.34"), policy_allowed=3, policy_denied=2,
               denied_by=f"NetworkPolicy {space}/{name} egress isolation")
        for space, (name, ip) in itertools.product(("a", "b"), names)
    ]  # fmt: skip
    metrics.take(table(*rows), NOW)
    metrics.take(table(*rows[:3]), NOW + 1)
    found = [s for s in samples(metrics) if s.name == NAME]
    assert sum(int(s.value) for s in found) == 5 * (len(rows) + 3)
    own = [s for s in found if s.labels["namespace"] != OTHER]
    assert len(own) == min(cap, 8)
    assert (len(found) > len(own)) == (cap < 8)


def test_nothing_is_written_where_nobody_decides() -> None:
    metrics = FlowMetrics()
    metrics.take(table(UI_CARTS, SERVERS_VIEW), NOW)
    assert not [s for s in samples(metrics) if s.name.startswith("eastwest_policy")]
