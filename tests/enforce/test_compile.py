"""The compiler against the engine: a plan, read literally, says in every cell what `Engine.decide` says, with its reason.

On random clusters, policies and postures, and on every step of every golden conformance case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eastwest.cli.policy.conformance import load_cases, parse_objects
from eastwest.enforce import limits
from eastwest.enforce.compile import Compiler
from eastwest.enforce.limits import RefusedError
from eastwest.enforce.modes import EVERY_NAMESPACE, Snapshot
from eastwest.model.cluster import ClusterState, Namespace, Node, Pod
from eastwest.model.flow import Direction, Workload
from eastwest.model.plan import OWN_NODE, IdentityKind, Limits, Mode, NodePlan, Posture, Ruling
from eastwest.model.policy import (
    ClusterNetworkPolicy,
    ClusterPolicyPeer,
    ClusterPolicyRule,
    IpBlock,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
)
from eastwest.policy import Decision, Engine, Options, Tier
from eastwest.policy.conformance.cluster import CaseCluster
from eastwest.policy.ends import End
from eastwest.policy.posture import Postures
from eastwest.wire import plan as wire
from eastwest.wire.plan_delta import apply, delta
from enforce.interpreter import Answer, Interpreter
from policy.clusters import OUTSIDE, PORTS, clusters
from policy.test_conformance import CASES
from policy.test_reference import LAW, PROTOCOLS, postures

IN, OUT = Direction.INGRESS, Direction.EGRESS
ENFORCED = Snapshot(1).with_mode(EVERY_NAMESPACE, Mode.ENFORCE)


def placed(cluster: ClusterState) -> ClusterState:
    """Every pod on a node: without one there is nothing to enforce on."""
    nodes = cluster.nodes or (Node("n1"),)
    return replace(cluster, nodes=nodes, pods=tuple(replace(p, node=p.node or nodes[0].name) for p in cluster.pods))


def peers(engine: Engine, more: tuple[str, ...]) -> Iterator[tuple[End, str, int]]:
    """(end, address, family) of everybody who can be at the other end of a packet."""
    seen = set()
    for address in (*(ip for p in engine.universe.pods for ip in p.ips), *more):
        if address not in seen:
            seen.add(address)
            end = engine.ends.address(address)
            assert end.address is not None
            yield end, address, end.address[0]


def check(engine: Engine, plans: dict[str, NodePlan], more: tuple[str, ...], ports: tuple[int, ...]) -> int:
    """Compare every cell; the number of them."""
    for plan in plans.values():
        wire.encode(wire.sealed(plan, 1))  # what the wire calls sound
    readers = {node: Interpreter(plan) for node, plan in plans.items()}
    ends = list(peers(engine, more))
    count = 0
    for at, pod in enumerate(engine.universe.pods):
        reader = readers[pod.node or ""]
        assert ((pod.namespace, pod.name) in reader.pods) is not pod.host_network
        for end, address, family in () if pod.host_network else ends:
            me = engine.ends.pod_at(at)
            for direction, (src, dst) in ((OUT, (me, end)), (IN, (end, me))):
                for protocol in PROTOCOLS:
                    for port in (0,) if protocol == 1 else ports:
                        verdict = engine.decide(src, dst, protocol, port, family)
                        decision = verdict.egress if direction is OUT else verdict.ingress
                        answer = reader.decide((pod.namespace, pod.name), direction, address, protocol, port)
                        assert same(answer, decision), (pod.name, direction, address, protocol, port, answer, decision)
                        count += 1
    return count


def same(answer: Answer, decision: Decision) -> bool:
    if answer.ruling is not (Ruling.ALLOW if decision.allowed else Ruling.DENY):
        return False
    if decision.tier is Tier.EXEMPT:
        return answer.reason.tier == "kernel"
    r = answer.reason
    return (r.tier, r.policy, r.rule) == (decision.tier, decision.policy, decision.rule)


@LAW
@given(clusters(), postures, st.booleans())
def test_every_cell_of_random_clusters(cluster: ClusterState, chosen: Postures, matches: bool) -> None:
    engine = Engine(placed(cluster), Options(posture=chosen, ip_block_matches_pods=matches))
    plans = Compiler().compile(engine, replace(ENFORCED, postures=chosen))
    nodes = tuple(ip for n in cluster.nodes for ip in n.ips)
    assert check(engine, plans, (*OUTSIDE, *nodes, "10.0.0.255", "255.255.255.255", "::"), (1, 78, *PORTS, 1000, 1001))


@settings(LAW, max_examples=40)
@given(st.lists(clusters(), min_size=2, max_size=4))
def test_one_compiler_over_changing_clusters(states: list[ClusterState]) -> None:
    """Numbers kept from earlier plans never make a later one wrong, and a delta leads to it."""
    compiler, before = Compiler(), dict[str, NodePlan]()
    for version, state in enumerate(states, 1):
        engine = Engine(placed(state))
        plans = compiler.compile(engine, ENFORCED)
        check(engine, plans, OUTSIDE, (79, 80))
        for node, plan in plans.items():
            sealed = wire.sealed(plan, version)
            if node in before:
                assert wire.encode(apply(before[node], delta(before[node], sealed))) == wire.encode(sealed)
            before[node] = sealed


@pytest.mark.parametrize("file", sorted(CASES.glob("*.yaml")), ids=lambda f: f.stem)
def test_every_cell_of_the_golden_cases(file: Path) -> None:
    (case,) = load_cases([str(file)])
    cluster, compiler, cells = CaseCluster(case.cluster), Compiler(), 0
    cluster.objects()
    for step in case.steps:
        for reference in step.delete:
            cluster.delete(reference)
        for item in step.apply:
            cluster.apply(item)
        state = placed(parse_objects(cluster.objects()))
        engine = Engine(state)
        if engine.undecided_domains():
            with pytest.raises(RefusedError, match="domainNames"):
                compiler.compile(engine, ENFORCED)
            continue
        nodes = tuple(ip for n in state.nodes for ip in n.ips)
        cells += check(engine, compiler.compile(engine, ENFORCED), (*OUTSIDE, *nodes), (79, 80, 81, 8080))
    assert cells or "domain" in file.stem


# --- what the arrays look like ---------------------------------------------------------------------------------------


def pod(name: str, *ips: str, node: str = "n1", **more: object) -> Pod:
    return Pod("x", name, Workload("x", "Pod", name), f"uid-{name}", {"app": name}, ips, node, **more)  # type: ignore[arg-type]


def policy(name: str, *rules: NetworkPolicyRule, app: str = "a", namespace: str = "x") -> NetworkPolicy:
    return NetworkPolicy(namespace, name, LabelSelector((("app", app),)), ("Ingress",), rules)


def rule(ports: tuple[NetworkPolicyPort, ...] | None = None, app: str | None = None, cidr: str | None = None):
    peer = NetworkPolicyPeer(ip_block=IpBlock(cidr)) if cidr else None
    if app:
        peer = NetworkPolicyPeer(LabelSelector((("app", app),)))
    return NetworkPolicyRule((peer,) if peer else None, ports)


def state(*policies: NetworkPolicy, pods: tuple[Pod, ...] = (), **more: object) -> ClusterState:
    some = pods or (pod("a", "10.0.0.1"), pod("b", "10.0.0.2", node="n2"), pod("c", "10.0.0.3"))
    nodes = (Node("n1", ips=("192.0.2.1",), pod_cidrs=("10.0.0.0/25",)), Node("n2", ips=("192.0.2.2",)))
    return ClusterState((Namespace("x"),), nodes, some, network_policies=policies, **more)  # type: ignore[arg-type]


def compiled(cluster: ClusterState, snapshot: Snapshot = ENFORCED, node: str = "n1", **more: object) -> NodePlan:
    return Compiler(**more).compile(Engine(cluster), snapshot)[node]  # type: ignore[arg-type]


def test_what_is_off_costs_nothing() -> None:
    plan = compiled(state(policy("p")), Snapshot())
    assert [p.name for p in plan.pods] == ["a", "c"]
    assert all(s.mode is Mode.OFF for p in plan.pods for s in (p.egress, p.ingress))
    assert (len(plan.identities), len(plan.cells), len(plan.ports), len(plan.reasons)) == (0, 0, 0, 1)


def test_modes_follow_namespace_direction_and_node() -> None:
    snapshot = Snapshot().with_mode("x", Mode.AUDIT, IN).with_mode("x", Mode.ENFORCE, IN, ["n2"])
    plans = Compiler().compile(Engine(state(policy("p"))), snapshot)
    assert {(p.name, p.ingress.mode, p.egress.mode) for plan in plans.values() for p in plan.pods} == {
        ("a", Mode.AUDIT, Mode.OFF),
        ("c", Mode.AUDIT, Mode.OFF),
        ("b", Mode.ENFORCE, Mode.OFF),
    }


def test_tables_of_this_node_only_and_cells_only_where_they_differ() -> None:
    other = policy("q", rule(app="a"), app="b")
    plan = compiled(state(policy("p", rule((NetworkPolicyPort("TCP", 80),), app="b")), other))
    assert plan.sources == ("x/p",)
    assert len(plan.cells) == 1, "b on 80; everybody else has the table's default row"
    assert {r.key for r in plan.reasons[1:]} == {
        "Default ingress",
        "Default egress",
        "NetworkPolicy x/p ingress[0]",
        "NetworkPolicy x/p ingress isolation",
    }
    assert plan.ranges == ("10.0.0.0/25",)


def test_identities_cover_all_and_know_pods_and_the_own_node() -> None:
    plan = compiled(state(policy("p", rule(cidr="198.51.100.0/24"))))
    reader = Interpreter(plan)
    assert reader.identity("10.0.0.2")[1] == IdentityKind.POD
    assert reader.identity("192.0.2.1")[0] == OWN_NODE
    assert reader.identity("192.0.2.2") == reader.identity("203.0.113.1")
    assert reader.identity("198.51.100.7") != reader.identity("203.0.113.1")
    assert reader.identity("::") == reader.identity("ffff:ffff::1")
    assert len(plan.identities) == 2 + 1 + 3 + 1, "two spaces, the CIDR, three pods, the node"


def test_a_range_of_ports_becomes_few_prefixes() -> None:
    wide = policy("p", rule((NetworkPolicyPort("TCP", 1024, 65535), NetworkPolicyPort("UDP", 53))))
    plan = compiled(state(wide))
    row = plan.ports[plan.ports["row"] == next(p for p in plan.pods if p.name == "a").ingress.row]
    assert len(row) == 1 + 2 + 1, "default; TCP allowed but 0-1023; UDP 53"


def test_more_than_24_ports_are_all_there() -> None:
    ports = tuple(NetworkPolicyPort("TCP", 2 * n + 1) for n in range(1, 400))
    reader = Interpreter(compiled(state(policy("p", rule(ports, app="b")))))
    asked = [reader.decide(("x", "a"), IN, "10.0.0.2", 6, n).ruling for n in range(2, 802)]
    assert asked == [Ruling.ALLOW if n % 2 and 3 <= n <= 799 else Ruling.DENY for n in range(2, 802)]


def test_of_two_rules_for_one_port_the_first_is_the_reason() -> None:
    web, dns = NetworkPolicyPort("TCP", 80), NetworkPolicyPort("UDP", 53)
    reader = Interpreter(compiled(state(policy("q", rule((dns, web), app="b")), policy("p", rule((web,), app="b")))))
    assert reader.decide(("x", "a"), IN, "10.0.0.2", 6, 80).reason.key == "NetworkPolicy x/p ingress[0]"
    assert reader.decide(("x", "a"), IN, "10.0.0.2", 17, 53).reason.key == "NetworkPolicy x/q ingress[0]"


def test_finished_and_host_network_pods_have_no_table() -> None:
    pods = (pod("a", "10.0.0.1", phase="Succeeded"), pod("h", "192.0.2.1", host_network=True), pod("new"))
    assert [p.name for p in compiled(state(policy("p"), pods=pods)).pods] == ["new"]


def test_a_limit_is_refused_with_policy_and_figure_and_nothing_is_truncated() -> None:
    ports = tuple(NetworkPolicyPort("TCP", 2 * n + 1) for n in range(1, 400))
    small = compiled(state(policy("p", rule(ports, app="b")), policy("q", rule(app="b"))))
    with pytest.raises(
        RefusedError, match=r"node n1: \d+ ports are needed, 300 fit .*; x/p alone needs 400"
    ) as refused:
        limits.check(small, Limits(ports=300))
    assert refused.value.policy == "x/p"
    with pytest.raises(RefusedError, match=r"node n1: \d+ addresses are needed, 1 fit"):
        limits.check(small, Limits(addresses=1))
    limits.check(small, Limits())


def test_domain_names_are_refused_by_name() -> None:
    rules = (ClusterPolicyRule("Accept", (ClusterPolicyPeer(domain_names=("*.example.org",)),)),)
    cluster_policy = ClusterNetworkPolicy("out", "Admin", 1, LabelSelector(), egress=rules)
    with pytest.raises(RefusedError, match=r"ClusterNetworkPolicy out\[0\]: domainNames") as refused:
        compiled(state(cluster_network_policies=(cluster_policy,)))
    assert refused.value.policy == "out"


def test_the_posture_of_the_node_is_for_pods_nobody_knows() -> None:
    snapshot = replace(ENFORCED, postures=Postures(nodes=(("n1", Posture.DENY),)))
    plans = Compiler().compile(Engine(state(), Options(posture=snapshot.postures)), snapshot)
    assert (plans["n1"].posture, plans["n1"].unknown_mode) == (Posture.DENY, Mode.ENFORCE)
    assert plans["n2"].posture is Posture.ALLOW


def test_a_small_change_is_a_small_delta() -> None:
    pods = tuple(pod(f"p{i}", f"10.0.0.{i}") for i in range(1, 60))
    policies = tuple(
        policy(f"q{i}", rule((NetworkPolicyPort("TCP", i),), app=f"p{i + 1}"), app=f"p{i}") for i in range(1, 50)
    )
    compiler = Compiler()
    first = wire.sealed(compiler.compile(Engine(state(*policies, pods=pods)), ENFORCED)["n1"], 1)
    changed = (policy("q1", rule((NetworkPolicyPort("TCP", 7),), app="p2"), app="p1"), *policies[1:])
    second = wire.sealed(compiler.compile(Engine(state(*changed, pods=pods)), ENFORCED)["n1"], 2)
    third = wire.sealed(
        compiler.compile(Engine(state(*changed, pods=(pod("p0", "10.0.0.99"), *pods))), ENFORCED)["n1"], 3
    )
    one, two = delta(first, second), delta(second, third)
    assert sum(len(rows) for rows in (*one.removed.values(), *one.added.values())) <= 6
    assert {name: len(rows) for name, rows in two.added.items()} == {"identities": 1, "cells": 0, "ports": 0}
    assert sum(len(rows) for rows in two.removed.values()) == 0
    assert np.array_equal(third.reasons, second.reasons)
