"""Laws of the generator, for random clusters and traffic."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from eastwest.model.policy import NetworkPolicy
from eastwest.policy import Engine
from eastwest.policy.generate.generator import Generated
from policy.factories_evidence import NODES, Shop, all_policies

LABELS = st.dictionaries(
    st.sampled_from(["app", "tier", "app.kubernetes.io/version"]), st.sampled_from(["a", "b", "c"]), max_size=3
)
OUTSIDE = st.sampled_from(
    ["203.0.113.7", "203.0.113.200", "198.51.100.1", "8.8.8.8", "2001:db8::1", "2001:db8:1::1", "10.200.0.1",
     "169.254.20.10", "10.1.0.200", "node:n1", "node:n2"]
)  # fmt: skip


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    shop = Shop()
    count = draw(st.integers(2, 6))
    for i in range(count):
        labels = draw(LABELS)
        own = {k: v for k, v in labels.items() if draw(st.booleans())}
        workload = draw(st.sampled_from(["w0", "w1", f"w{i}"]))
        shop.run(
            f"p{i}", labels, selector=own, workload=workload, namespace=draw(st.sampled_from(["shop", "back"])),
            node=draw(st.sampled_from(["n1", "n2"])), kind=draw(st.sampled_from(["Deployment", "StatefulSet"])),
        )  # fmt: skip
    if draw(st.booleans()):
        shop.run("host", host_network=True, node="n2", ips=NODES[1].ips)
    if draw(st.booleans()):
        for port in (80, 8080):
            shop.serve("a", port, type="LoadBalancer")
    pods = st.sampled_from([p.name for p in shop.pods])
    for _ in range(draw(st.integers(0, 10))):
        src, dst = draw(pods | OUTSIDE), draw(pods | OUTSIDE)
        if src.startswith(("p", "h")) or dst.startswith(("p", "h")):
            family_v6 = ":" in src.removeprefix("node:") + dst.removeprefix("node:")
            port = draw(st.sampled_from([53, 80, 8080, 40_000]))
            protocol = draw(st.sampled_from(["TCP", "UDP", "SCTP"]))
            established, directed = draw(st.sampled_from([(True, True), (True, True), (False, True), (True, False)]))
            if not family_v6 or not (src.startswith("node") or dst.startswith("node")):
                shop.talk(src, dst, port, protocol, established=established, directed=directed)
    return shop


def allowed_evidence(shop: Shop) -> Shop:
    """Only what is evidence: established, direction known."""
    return replace(shop, talks=[t for t in shop.talks if t.established and t.directed])


@settings(max_examples=200, deadline=None)
@given(shops())
def test_the_generated_set_denies_no_established_connection(shop: Shop) -> None:
    assert allowed_evidence(shop).denied(all_policies(shop.generate())) == []


@settings(max_examples=60, deadline=None)
@given(shops())
def test_removing_any_rule_denies_something(shop: Shop) -> None:
    """Except where pods that labels cannot tell apart, or a widening, give the same permission twice."""
    generated = shop.generate()
    if generated.report.indistinguishable or generated.report.beyond()["cidr-widening"]:
        return
    policies = all_policies(generated)
    for at, policy in enumerate(policies):
        for name in ("ingress", "egress"):
            rules = getattr(policy, name)
            for index in range(len(rules)):
                fewer = replace(policy, **{name: rules[:index] + rules[index + 1 :]})
                changed = (*policies[:at], fewer, *policies[at + 1 :])
                assert allowed_evidence(shop).denied(changed), f"{policy.name} {name} {index} is not needed"


@settings(max_examples=60, deadline=None)
@given(shops(), st.randoms(use_true_random=False))
def test_order_never_matters(shop: Shop, random: object) -> None:
    pods, talks = shop.pods[:], shop.talks[:]
    random.shuffle(pods)  # type: ignore[attr-defined]
    random.shuffle(talks)  # type: ignore[attr-defined]
    assert replace(shop, pods=pods, talks=talks).generate() == shop.generate()


@settings(max_examples=60, deadline=None)
@given(shops())
def test_nothing_unseen_is_permitted_between_workloads(shop: Shop) -> None:
    """Every pair of pods that may talk on a probed port belongs to workloads that did (dns-tcp excepted)."""
    generated = shop.generate()
    if generated.report.indistinguishable:
        return
    engine = Engine(shop.cluster(all_policies(generated)))
    seen = {(w(shop, t.src), w(shop, t.dst), t.protocol, t.port) for t in allowed_evidence(shop).talks}
    seen |= {(a, b, "TCP", port) for a, b, protocol, port in seen if protocol == "UDP" and port == 53}
    covered = set(generated.policies)
    for i, src in enumerate(shop.pods):
        for j, dst in enumerate(shop.pods):
            if i == j or src.host_network or dst.host_network or not {src.namespace, dst.namespace} <= covered:
                continue
            for protocol, number in (("TCP", 6), ("UDP", 17)):
                for port in (53, 80, 40_000):
                    verdict = engine.decide(engine.ends.pod_at(i), engine.ends.pod_at(j), number, port, 4)
                    if verdict.allowed:
                        assert (str(src.workload), str(dst.workload), protocol, port) in seen


def w(shop: Shop, name: str) -> str:
    return next((str(p.workload) for p in shop.pods if p.name == name), name)


@settings(max_examples=60, deadline=None)
@given(shops())
def test_a_second_run_on_the_same_evidence_is_the_same(shop: Shop) -> None:
    one, two = shop.generate(), shop.generate()
    assert one == two
    assert _isolated(one) <= {"Ingress", "Egress"}


def _isolated(generated: Generated) -> set[str]:
    def types(policy: NetworkPolicy) -> tuple[str, ...]:
        return policy.policy_types

    return {t for p in all_policies(generated) for t in types(p)}
