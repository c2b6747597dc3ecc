"""Recorded flows against policies: what is denied and why, what is missing, what is unused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings

from eastwest.model.flow import Direction
from eastwest.model.policy import LabelSelector, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicyRule
from eastwest.policy import Engine
from eastwest.policy.evidence import answered
from eastwest.policy.replay.replay import Replay, replay
from eastwest.policy.replay.use import Unused
from policy.factories_evidence import Shop, all_policies
from policy.generate.test_laws import allowed_evidence, shops


def run(shop: Shop, *policies: NetworkPolicy) -> Replay:
    return replay(Engine(shop.cluster(policies)), shop.evidence())


def deny(namespace: str = "shop") -> NetworkPolicy:
    return NetworkPolicy(namespace, "default-deny", LabelSelector(), ("Ingress", "Egress"))


def test_without_policies_nothing_is_denied() -> None:
    result = run(Shop().run("a").run("b").talk("a", "b", 80))
    assert (result.flows, result.connections, result.allowed) == (1, 1, 1)
    assert (result.denied, result.attempts, result.unused, result.skipped) == ((), (), (), {})


def test_denied_flows_are_summed_per_pair_of_workloads_with_the_reason() -> None:
    shop = Shop().run("a1", {"app": "a"}, workload="a").run("a2", {"app": "a"}, workload="a").run("b")
    result = run(shop.talk("a1", "b", 80, connections=3).talk("a2", "b", 80, connections=4), deny())
    (row,) = result.denied
    assert (row.src, row.dst, row.protocol, row.port, row.connections) == (
        "shop/a[Deployment]", "shop/b[Deployment]", "TCP", 80, 7,
    )  # fmt: skip
    assert "shop/default-deny" in row.reason
    assert [m.direction for m in row.missing] == [Direction.EGRESS, Direction.INGRESS]


def test_only_the_side_that_denies_misses_a_rule() -> None:
    allow = NetworkPolicy("shop", "out", LabelSelector(), ("Egress",), egress=(NetworkPolicyRule(),))
    (row,) = run(Shop().run("a").run("b").talk("a", "b", 80), deny(), allow).denied
    assert [m.direction for m in row.missing] == [Direction.INGRESS]


@settings(max_examples=60, deadline=None)
@given(shops())
def test_adding_the_missing_rules_allows_everything(shop: Shop) -> None:
    shop = allowed_evidence(shop)
    base = [deny("shop"), deny("back")]
    missing = [m.policy() for row in run(shop, *base).denied for m in row.missing]
    named = [replace(p, name=f"fix-{i}") for i, p in enumerate(missing)]
    assert run(shop, *base, *named).denied == ()


@settings(max_examples=60, deadline=None)
@given(shops())
def test_generated_policies_replay_clean(shop: Shop) -> None:
    generated = shop.generate()
    result = run(shop, *all_policies(generated))
    assert result.denied == ()
    if not generated.report.indistinguishable:
        assert {u.reason for u in result.unused} <= {"dns-tcp"}


def test_attempts_that_nobody_answered_break_nothing() -> None:
    shop = Shop().run("a").run("b").talk("a", "b", 22, established=False)
    result = run(shop, deny())
    assert result.denied == ()
    assert [(row.port, row.missing) for row in result.attempts] == [(22, ())]


def test_what_cannot_be_judged_is_counted() -> None:
    shop = Shop().run("a").run("b").talk("b", "a", 40_000, directed=False).talk("a", "svc:b", 80)
    result = run(shop, deny())
    assert result.skipped == {"it is not known who began": 1, "the backend of the Service is not known": 1}
    assert result.denied == ()


def test_external_ends_are_cidrs_and_nodes_have_names() -> None:
    shop = Shop().run("a").talk("a", "52.0.0.1", 443).talk("node:n2", "a", 80).talk("a", "2001:db8::1", 443)
    assert [(d.src, d.dst) for d in run(shop, deny()).denied] == [
        ("node:n2", "shop/a[Deployment]"),
        ("shop/a[Deployment]", "2001:db8::1/128"),
        ("shop/a[Deployment]", "52.0.0.1/32"),
    ]


def test_own_node_traffic_is_never_denied() -> None:
    assert run(Shop().run("a", node="n1").talk("node:n1", "a", 80), deny()).denied == ()


def rule(port: int | str, protocol: str = "TCP", to: str = "b", end: int | None = None) -> NetworkPolicyRule:
    peer = NetworkPolicyPeer(pod_selector=LabelSelector((("app", to),)))
    return NetworkPolicyRule((peer,), (NetworkPolicyPort(protocol, port, end),))


def test_unused_rules_and_ports_are_named() -> None:
    both = NetworkPolicyRule(rule(80).peers, (NetworkPolicyPort("TCP", 80), NetworkPolicyPort("TCP", 443)))
    policy = NetworkPolicy("shop", "p", LabelSelector((("app", "a"),)), ("Egress",), egress=(rule(22), both))
    result = run(Shop().run("a").run("b").talk("a", "b", 80), policy)
    assert result.unused == (
        Unused("shop/p", Direction.EGRESS, 0, "no recorded connection used it"),
        Unused("shop/p", Direction.EGRESS, 1, "no recorded connection used it", "TCP 443"),
    )


def test_named_ports_and_ranges_are_used_too() -> None:
    from policy.factories_evidence import ContainerPort

    named, spread = rule("http"), rule(8000, end=9000)
    policy = NetworkPolicy("shop", "p", LabelSelector((("app", "a"),)), ("Egress",), egress=(named, spread))
    shop = Shop().run("a").run("b", ports=(ContainerPort(8080, "TCP", "http"),)).talk("a", "b", 8080)
    assert run(shop, policy).unused == ()


def test_dns_over_tcp_is_unused_with_its_reason() -> None:
    shop = Shop().run("a").run("b").talk("a", "b", 53, "UDP")
    assert {(u.port, u.reason) for u in run(shop, *all_policies(shop.generate())).unused} == {("TCP 53", "dns-tcp")}


def test_rules_used_only_by_attempts_are_unused() -> None:
    policy = NetworkPolicy("shop", "p", LabelSelector((("app", "a"),)), ("Egress",), egress=(rule(22),))
    assert len(run(Shop().run("a").run("b").talk("a", "b", 22, established=False), policy).unused) == 1


def test_what_counts_as_an_answer() -> None:
    tcp, udp = np.array([6, 6, 6, 6, 6]), np.array([17, 17])
    connections = np.array([1, 1, 2, 0, 3])  # refused, real, unanswered, older than the window, refused over IPv6
    forward, back = np.array([60, 400, 400, 52, 240]), np.array([40, 300, 0, 52, 180])
    assert answered(tcp, connections, None, forward, back).tolist() == [False, True, False, True, False]
    counted = np.array([0, 1, 0, 0, 0])
    assert answered(tcp, connections, counted, forward, back).tolist() == [False, True, False, True, False]
    assert answered(udp, np.array([1, 1]), None, np.array([50, 50]), np.array([90, 0])).tolist() == [True, False]
