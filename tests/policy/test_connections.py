"""All permitted connections: agreement with the reference on random clusters, and the shape of the rows."""

from __future__ import annotations

import ipaddress
from functools import reduce
from operator import or_
from pathlib import Path

import pytest
from hypothesis import given

from eastwest.cli.policy.conformance import load_cases, parse_objects
from eastwest.model.cluster import ClusterState, Pod
from eastwest.model.flow import Workload
from eastwest.model.policy import IpBlock, LabelSelector, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyRule
from eastwest.policy import Engine, Options
from eastwest.policy.conformance.cluster import CaseCluster
from eastwest.policy.connections import AllPairs, connections
from policy import reference
from policy.clusters import OUTSIDE, PORTS, clusters
from policy.test_conformance import CASES
from policy.test_reference import LAW, PROTOCOLS, choices, options


@LAW
@given(clusters(), options)
def test_all_pairs_agree_with_the_reference(cluster: ClusterState, chosen: Options) -> None:
    engine, wanted = Engine(cluster, chosen), choices(chosen)
    found = {(c.src, c.dst): c.ports for c in connections(engine)}
    assert all(found.values())
    for a in cluster.pods:
        for b in cluster.pods:
            if a is b:
                continue
            families = set(engine.ends.families_of_pod(cluster.pods.index(a)))
            families &= set(engine.ends.families_of_pod(cluster.pods.index(b)))
            ports = found.get((a.workload, b.workload))
            for protocol in PROTOCOLS:
                for port in (0,) if protocol == 1 else (78, *PORTS):
                    expected = any(
                        reference.allowed(
                            cluster, wanted, reference.Place(a, family=f), reference.Place(b, family=f), protocol, port
                        )
                        for f in families
                    )
                    assert bool(ports and ports.contains(protocol, port)) == expected


@LAW
@given(clusters(), options)
def test_outside_agrees_with_the_reference(cluster: ClusterState, chosen: Options) -> None:
    engine, wanted = Engine(cluster, chosen), choices(chosen)
    found = list(connections(engine))
    nodes = {ip for n in cluster.nodes for ip in n.ips}
    for ip in set(OUTSIDE) - nodes:
        address = ipaddress.ip_address(ip)
        outside = reference.Place(ip=ip, family=address.version)
        for i, pod in enumerate(cluster.pods):
            if address.version not in engine.ends.families_of_pod(i):
                continue
            inside = reference.Place(pod, family=address.version)
            for src, dst in ((inside, outside), (outside, inside)):
                ends = tuple(p.pod.workload if p.pod else ip for p in (src, dst))
                ports = [
                    c.ports
                    for c in found
                    if all(_same(c_end, e) for c_end, e in zip((c.src, c.dst), ends, strict=True))
                ]
                assert len(ports) <= 1, "CIDRs of one workload must not overlap"
                for protocol in PROTOCOLS:
                    for port in (0,) if protocol == 1 else (78, *PORTS):
                        expected = reference.allowed(cluster, wanted, src, dst, protocol, port)
                        assert bool(ports and ports[0].contains(protocol, port)) == expected


def _same(found: Workload | str, wanted: Workload | str) -> bool:
    if isinstance(found, str) and isinstance(wanted, str):
        return ipaddress.ip_address(wanted) in ipaddress.ip_network(found)
    return found == wanted


def test_a_pods_address_is_nothing_outside() -> None:
    """An ipBlock of exactly a pod's address grants the pod, and lists no external range for it."""
    owner = Workload("x", "Pod", "a")
    pods = tuple(
        Pod("x", n, Workload("x", "Pod", n), labels={"n": n}, ips=(f"10.0.0.{i}",)) for i, n in enumerate("ab", 1)
    )
    only_b = NetworkPolicyPeer(ip_block=IpBlock("10.0.0.2/32"))
    policy = NetworkPolicy("x", "p", LabelSelector((("n", "a"),)), ("Ingress",), (NetworkPolicyRule((only_b,), None),))
    found = list(connections(Engine(ClusterState(pods=pods, network_policies=(policy,)))))
    assert [c.src for c in found if c.dst == owner] == [Workload("x", "Pod", "b")]
    assert [c.dst for c in found if c.src == owner] == [Workload("x", "Pod", "b"), "0.0.0.0/0"], "no holes for pods"


@pytest.mark.parametrize("file", sorted(CASES.glob("*.yaml")), ids=lambda f: f.stem)
def test_all_pairs_agree_with_single_pairs_on_golden_cases(file: Path) -> None:
    (case,) = load_cases([str(file)])
    cluster = CaseCluster(case.cluster)
    cluster.objects()
    for step in case.steps:
        for reference_ in step.delete:
            cluster.delete(reference_)
        for item in step.apply:
            cluster.apply(item)
        engine = Engine(parse_objects(cluster.objects()))
        pairs = AllPairs(engine)
        ends = {p.workload: engine.ends.pod_at(i) for i, p in enumerate(engine.universe.pods)}
        for i, src in enumerate(pairs.workloads):
            row = pairs.to_workloads(i)
            for j, dst in enumerate(pairs.workloads):
                if src != dst:
                    one, other = ends[src], ends[dst]
                    families = engine.ends.families(one, other)
                    expected = [engine.allowed_ports(one, other, f) for f in families]
                    assert pairs.rows.ports.sets[row[j]] == reduce(or_, expected), (src, dst)
