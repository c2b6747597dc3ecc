"""The engine's own interface: rules in force and identities (for the data plane), reasons, options, columns, domains."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from eastwest.cli.policy.conformance import parse_objects
from eastwest.model.flow import Direction, ip_bytes
from eastwest.policy import Engine, Options, Tier, batch, decide_many
from eastwest.policy.conformance.case import default_cluster
from eastwest.policy.conformance.cluster import CaseCluster
from eastwest.policy.ports import ports_of


def engine(text: str = "", options: Options | None = None, domains=None) -> Engine:
    """The default conformance cluster with more objects, as YAML."""
    cluster = CaseCluster(default_cluster())
    for item in yaml.safe_load_all(text):
        cluster.apply(item)
    return Engine(parse_objects(cluster.objects()), options, domains)


NP = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: x}\nspec:\n"
HOSTS = """
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 10.99.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: on-n1, namespace: x, labels: {pod: a}}
spec: {nodeName: n1, containers: [{name: c, image: i}]}
status: {podIP: 10.88.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: host, namespace: x, labels: {pod: host}}
spec: {nodeName: n1, hostNetwork: true, containers: [{name: c, image: i}]}
status: {podIP: 10.99.0.1}
"""


def test_rules_in_force_and_their_peers() -> None:
    e = engine(
        NP
        + "  podSelector: {matchLabels: {pod: a}}\n  ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}], ports: [{port: serve-80-tcp}]}]\n"
    )
    a, b = e.ends.pod("x", "a"), e.ends.pod("x", "b")
    assert a.pod is not None
    table = e.rules(a.pod, Direction.INGRESS)
    assert table.isolated_by == ("x/p",)
    (rule,) = table.rules
    assert e.rule_peers(rule).tolist() == [e.ends.identity(b, 4)]
    assert e.ends.identity(b, 4) == e.ends.identity(b, 6), "no block tells the families apart"
    assert e.rule_ports(rule, e.ends.identity(a, 4)) == ports_of("TCP", 80)
    assert e.rules(a.pod, Direction.EGRESS).rules == ()


def test_identities_are_few() -> None:
    e = engine(
        NP + "  podSelector: {matchLabels: {pod: a}}\n  ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]\n"
    )
    assert len(e.identities) == 4, "x/a, x/b, every other pod, the outside"


def test_a_decision_names_tier_policy_and_rule() -> None:
    e = engine(
        NP
        + "  podSelector: {matchLabels: {pod: a}}\n  ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}, {ports: [{port: 80}]}]\n"
    )
    a, b, c = (e.ends.pod("x", n) for n in "abc")
    by_rule = e.decide(c, a, 6, 80).ingress
    assert (by_rule.tier, by_rule.policy, by_rule.rule, by_rule.action) == (Tier.NETWORK_POLICY, "x/p", 1, "allow")
    assert e.decide(b, a, 6, 80).ingress.rule == 0
    denied = e.decide(c, a, 6, 81)
    assert (denied.allowed, denied.ingress.rule, denied.ingress.isolated_by) == (False, None, ("x/p",))
    assert denied.egress.tier is Tier.DEFAULT
    assert denied.reason == denied.ingress.text()


@pytest.mark.parametrize(
    ("options", "allowed"),
    [(Options(), True), (Options(ip_block_matches_pods=False), False)],
)
def test_option_ip_block_matches_pods(options: Options, allowed: bool) -> None:
    e = engine(NP + "  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]\n", options)
    assert e.decide(e.ends.pod("y", "a"), e.ends.pod("x", "a"), 6, 80, 4).allowed is allowed
    assert e.decide(e.ends.address("203.0.113.9"), e.ends.pod("x", "a"), 6, 80).allowed


def test_option_host_network() -> None:
    text = (
        HOSTS
        + "---\n"
        + NP
        + "  podSelector: {matchLabels: {pod: b}}\n  ingress: [{from: [{podSelector: {matchLabels: {pod: host}}}]}]\n"
    )
    for options, allowed in ((Options(), False), (Options(host_network="ordinary"), True)):
        e = engine(text, options)
        assert e.decide(e.ends.pod("x", "host"), e.ends.pod("x", "b"), 6, 80, 4).allowed is allowed


def test_option_self_traffic() -> None:
    text = NP + "  podSelector: {}\n"
    for options, tier in ((Options(), Tier.EXEMPT), (Options(self_traffic="ordinary"), Tier.NETWORK_POLICY)):
        e = engine(text, options)
        assert e.decide(e.ends.pod("x", "a"), e.ends.pod("x", "a"), 6, 80).ingress.tier is tier


def test_option_icmp() -> None:
    text = NP + "  podSelector: {}\n  ingress: [{ports: [{protocol: TCP}]}]\n"
    for options, allowed in ((Options(), False), (Options(icmp="allow"), True)):
        e = engine(text, options)
        a, b = e.ends.pod("x", "a"), e.ends.pod("x", "b")
        assert e.decide(b, a, 1, 0).allowed is allowed
        assert e.decide(b, a, 6, 80).allowed
        assert not e.decide(b, a, 17, 80).allowed


def test_own_node_in_columns_as_in_pairs() -> None:
    e = engine(HOSTS + "---\n" + NP + "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n")
    texts = [
        ("10.99.0.1", "10.88.0.1"),
        ("10.88.0.1", "10.99.0.1"),
        ("10.88.0.1", "10.88.0.1"),
        ("203.0.113.9", "10.88.0.1"),
    ]
    raw = [np.frombuffer(b"".join(ip_bytes(t[s]) for t in texts), np.uint8).reshape(-1, 16) for s in (0, 1)]
    unknown = np.full(len(texts), -1, np.int32)
    decided = decide_many(e, *(e.ends.columns(unknown, r) for r in raw), np.full(4, 6), np.full(4, 80))
    assert decided.allowed.tolist() == [True, True, True, False]
    assert [decided.reasons[i].tier for i in decided.ingress] == [Tier.EXEMPT] * 3 + [Tier.NETWORK_POLICY]


def test_a_given_pod_wins_over_its_address() -> None:
    """Evidence names pods as of the flow's time; the address may be another pod's by now."""
    e = engine()
    address = np.frombuffer(ip_bytes("10.244.0.10"), np.uint8).reshape(1, 16)
    then = e.ends.pod("y", "b")
    assert then.pod is not None
    assert e.ends.columns(np.array([then.pod]), address).pod.tolist() == [then.pod]
    assert e.ends.columns(np.array([-1]), address).pod.tolist() == [e.ends.address("10.244.0.10").pod]


def test_no_rows_are_no_decisions() -> None:
    e = engine()
    none = e.ends.columns(np.empty(0, np.int32), np.empty((0, 16), np.uint8))
    assert decide_many(e, none, none, np.empty(0, np.uint8), np.empty(0, np.uint16)).allowed.tolist() == []


CNP = """
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: egress}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {matchLabels: {ns: x}}}
  egress:
    - {action: Accept, to: [{domainNames: ["*.example.com"]}], protocols: [{tcp: {destinationPort: {number: 443}}}]}
    - {action: Deny, to: [{networks: [0.0.0.0/0]}]}
"""


def test_a_domain_rule_without_addresses_accepts_nothing_and_says_so() -> None:
    e = engine(CNP)
    a, outside = e.ends.pod("x", "a"), e.ends.address("203.0.113.9")
    denied = e.decide(a, outside, 6, 443).egress
    assert (denied.allowed, denied.rule, denied.undecided) == (False, 1, ("egress[0]",))
    assert "might be allowed by domain name: egress[0]" in denied.text()
    assert e.decide(a, outside, 6, 80).egress.undecided == (), "its ports do not reach that far"
    assert e.decide(a, e.ends.pod("y", "a"), 6, 443, 4).egress.undecided == (), "pods have no such names"
    assert [r.ref for r in e.undecided_domains()] == ["egress[0]"]


def test_a_domain_rule_with_addresses_is_decided() -> None:
    e = engine(CNP, domains={"www.example.com": ("203.0.113.9",), "example.com": ("203.0.113.10",)})
    a = e.ends.pod("x", "a")
    verdict = e.decide(a, e.ends.address("203.0.113.9"), 6, 443)
    assert (verdict.allowed, verdict.egress.rule) == (True, 0)
    assert not e.decide(a, e.ends.address("203.0.113.10"), 6, 443).allowed, "*. asks for at least one label"
    assert e.undecided_domains() == []


def test_completed_pods_are_in_no_set() -> None:
    """Their address may be another pod's already."""
    text = """
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: x, labels: {pod: b}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.88.0.9, phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {name: heir, namespace: y, labels: {pod: b}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.88.0.9, phase: Running}
"""
    e = engine(
        text
        + "---\n"
        + NP
        + "  podSelector: {matchLabels: {pod: a}}\n  ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]\n"
    )
    heir = e.ends.address("10.88.0.9")
    assert heir.pod is not None
    assert e.universe.pods[heir.pod].name == "heir"
    assert not e.decide(heir, e.ends.pod("x", "a"), 6, 80, 4).allowed


def test_tables_and_searches_find_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    e = engine(NP + "  podSelector: {matchLabels: {pod: a}}\n  ingress: [{ports: [{port: 80}]}]\n")
    pods = np.arange(9, dtype=np.int32)
    raw = np.frombuffer(b"".join(ip_bytes(p.ips[0]) for p in e.universe.pods), np.uint8).reshape(-1, 16)
    src = e.ends.columns(np.repeat(pods, 9), np.repeat(raw, 9, axis=0))
    dst = e.ends.columns(np.tile(pods, 9), np.tile(raw, (9, 1)))
    asked = (src, dst, np.full(81, 6), np.arange(81) % 3 + 79)
    dense = decide_many(e, *asked)
    monkeypatch.setattr(batch, "_DENSE", 0)
    sparse = decide_many(e, *asked)
    assert dense.allowed.tolist() == sparse.allowed.tolist()
    assert dense.ingress.tolist() == sparse.ingress.tolist()
    assert not dense.allowed.all()
