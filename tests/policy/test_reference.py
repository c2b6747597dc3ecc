"""The engine agrees with the brute-force reference: one pair, all ports of a pair, columns, and any order of input."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eastwest.model.cluster import ClusterState
from eastwest.model.flow import ip_bytes
from eastwest.model.plan import Posture
from eastwest.policy import Engine, Options, decide_many
from eastwest.policy.posture import Postures
from policy import reference
from policy.clusters import NAMESPACES, OUTSIDE, PORTS, clusters

PROTOCOLS = (1, 6, 17, 132)
LAW = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
postures_ = st.sampled_from(Posture)
postures = st.builds(
    Postures,
    postures_,
    st.dictionaries(st.sampled_from(NAMESPACES), postures_, max_size=2).map(lambda d: tuple(sorted(d.items()))),
    st.dictionaries(st.sampled_from(("pool=a", "pool=b", "pool=none")), postures_, max_size=3).map(
        lambda d: tuple(sorted(d.items()))
    ),
)
options = st.builds(
    Options,
    posture=st.one_of(st.just(Postures()), postures),
    ip_block_matches_pods=st.booleans(),
    host_network=st.sampled_from(("exempt", "ordinary")),
    self_traffic=st.sampled_from(("allow", "ordinary")),
)


def choices(o: Options) -> reference.Choices:
    return reference.Choices(
        o.ip_block_matches_pods,
        o.host_network == "exempt",
        o.self_traffic == "allow",
        o.posture.cluster == "deny",
        tuple((name, p == "deny") for name, p in o.posture.namespaces),
        tuple((dict([text.split("=")]), p == "deny") for text, p in o.posture.nodes),
    )


def places(cluster: ClusterState, engine: Engine, family: int):
    """Every end of a cluster in one family: (what the engine calls it, what the reference calls it)."""
    for i, pod in enumerate(cluster.pods):
        has = {6 if ":" in ip else 4 for ip in pod.ips} or {4, 6}
        if family in has:
            yield engine.ends.pod_at(i), reference.Place(pod, family=family)
    for ip in (*OUTSIDE, *(ip for n in cluster.nodes for ip in n.ips)):
        if (6 if ":" in ip else 4) == family:
            yield engine.ends.address(ip), reference.Place(ip=ip, family=family)


@LAW
@given(clusters(), options, st.sampled_from((4, 6)))
def test_every_pair_and_port(cluster: ClusterState, chosen: Options, family: int) -> None:
    engine, wanted = Engine(cluster, chosen), choices(chosen)
    ends = list(places(cluster, engine, family))
    for src, a in ends:
        for dst, b in ends:
            if a.pod is None and b.pod is None:
                continue
            ports = engine.allowed_ports(src, dst, family)
            for protocol in PROTOCOLS:
                for port in (0,) if protocol == 1 else (78, *PORTS, 1000, 1001):
                    expected = reference.allowed(cluster, wanted, a, b, protocol, port)
                    verdict = engine.decide(src, dst, protocol, port, family)
                    assert verdict.allowed == expected, (a, b, protocol, port, verdict.reason)
                    assert ports.contains(protocol, port) == expected


@settings(LAW, max_examples=40)
@given(clusters(), options, st.randoms(use_true_random=False))
def test_columns_say_what_pairs_say(cluster: ClusterState, chosen: Options, rng: random.Random) -> None:
    engine = Engine(cluster, chosen)
    addresses = [ip for p in cluster.pods if not p.host_network for ip in p.ips]
    addresses += [*OUTSIDE, *(ip for n in cluster.nodes for ip in n.ips)]
    families = {4: [a for a in addresses if ":" not in a], 6: [a for a in addresses if ":" in a]}
    rows = []
    for _ in range(60):
        pool = families[rng.choice((4, 6))]
        protocol = rng.choice(PROTOCOLS)
        rows.append((rng.choice(pool), rng.choice(pool), protocol, 0 if protocol == 1 else rng.choice(PORTS)))
    columns = [
        engine.ends.columns(
            np.full(len(rows), -1), np.frombuffer(b"".join(map(ip_bytes, side)), np.uint8).reshape(-1, 16)
        )
        for side in ([r[0] for r in rows], [r[1] for r in rows])
    ]
    decided = decide_many(engine, *columns, np.array([r[2] for r in rows]), np.array([r[3] for r in rows]))
    for i, (src, dst, protocol, port) in enumerate(rows):
        one = engine.decide(engine.ends.address(src), engine.ends.address(dst), protocol, port)
        assert decided.allowed[i] == one.allowed
        assert decided.reasons[decided.egress[i]] == one.egress
        assert decided.reasons[decided.ingress[i]] == one.ingress


@settings(LAW, max_examples=40)
@given(clusters(), st.randoms(use_true_random=False))
def test_order_of_objects_never_matters(cluster: ClusterState, rng: random.Random) -> None:
    def shuffled(things):
        return tuple(rng.sample(things, len(things)))

    other = replace(
        cluster,
        network_policies=shuffled(cluster.network_policies),
        cluster_network_policies=shuffled(cluster.cluster_network_policies),
        namespaces=shuffled(cluster.namespaces),
        pods=shuffled(cluster.pods),
    )
    one, two = Engine(cluster), Engine(other)
    for a in cluster.pods:
        for b in cluster.pods:
            ends = [(e.ends.pod(a.namespace, a.name), e.ends.pod(b.namespace, b.name)) for e in (one, two)]
            assert one.segments(*ends[0]) == two.segments(*ends[1])
