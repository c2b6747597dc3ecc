"""The default posture: which scope holds, and that every use of the engine says the same. The differential tests
(test_reference, test_connections, enforce/test_compile) run with random postures as well."""

from __future__ import annotations

import pytest

from eastwest.cli.policy._input import InputError, postures_of
from eastwest.model.cluster import ClusterState, Namespace, Node, Pod
from eastwest.model.flow import Direction, Workload
from eastwest.model.plan import Posture
from eastwest.model.policy import LabelSelector, NetworkPolicy, NetworkPolicyRule
from eastwest.policy import Engine, Options, Tier
from eastwest.policy.connections import connections
from eastwest.policy.explain import rules_in_force
from eastwest.policy.lint.checks import lint
from eastwest.policy.posture import Postures

ALLOW, DENY = Posture.ALLOW, Posture.DENY


def test_the_narrower_scope_wins_and_among_groups_a_deny() -> None:
    postures = Postures(DENY, (("shop", ALLOW),), (("node-a,node-b", ALLOW), ("pool=blue", DENY)))
    assert postures.of_pod("shop", "node-a", {"pool": "blue"}) == (ALLOW, "namespace shop")
    assert postures.of_pod("web", "node-a", {}) == (ALLOW, "nodes node-a,node-b")
    assert postures.of_pod("web", "node-b", {"pool": "blue"}) == (DENY, "nodes pool=blue")
    assert postures.of_pod("web", "node-c", {"pool": "red"}) == (DENY, "the cluster")
    assert postures.of_pod("web", None, {}) == (DENY, "the cluster")
    assert postures.with_nodes("pool=blue", None).of_node("node-b", {"pool": "blue"})[0] is ALLOW
    assert Postures().with_nodes("metadata.name=node-a", DENY).of_node("node-a", {})[0] is DENY


@pytest.mark.parametrize("text", ["", "a,,b", "pool=blue,node-a", "=blue", "pool=a,pool=b"])
def test_a_group_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"names|labels"):
        Postures().with_nodes(text, DENY)


def test_words_of_the_command_line() -> None:
    assert postures_of(["deny", "namespace:shop=allow", "nodes:pool=blue=deny"]) == Postures(
        DENY, (("shop", ALLOW),), (("pool=blue", DENY),)
    )
    for word in ("maybe", "pod:x=deny", "namespace:=deny", "nodes:=deny", "cluster"):
        with pytest.raises(InputError, match="--posture"):
            postures_of([word])


def cluster(*policies: NetworkPolicy) -> ClusterState:
    def pod(namespace: str, name: str, node: str, host_network: bool = False) -> Pod:
        ip = {"a": "10.0.0.1", "b": "10.0.0.2", "h": "192.0.2.1"}[name]
        workload = Workload(namespace, "Pod", name)
        return Pod(namespace, name, workload, ips=(ip,), node=node, host_network=host_network)

    nodes = (Node("n1", {"pool": "blue"}, ("192.0.2.1",)), Node("n2", {}, ("192.0.2.2",)))
    pods = (pod("x", "a", "n1"), pod("x", "b", "n2"), pod("x", "h", "n1", True))
    return ClusterState((Namespace("x"),), nodes, pods, network_policies=policies)


def test_check_explain_connections_and_lint_agree() -> None:
    options = Options(posture=Postures(nodes=(("pool=blue", DENY),)))
    engine = Engine(cluster(), options)
    verdict = engine.decide(engine.ends.pod("x", "b"), engine.ends.pod("x", "a"), 6, 80)
    assert not verdict.allowed
    assert verdict.egress.tier is Tier.DEFAULT
    assert verdict.ingress.tier is Tier.POSTURE
    assert verdict.reason == (
        "ingress denied: no policy selects this side, and the default posture of nodes pool=blue is deny"
    )
    rest = {d: rules_in_force(engine, 0, d).rest for d in Direction}
    assert set(rest.values()) == {
        "denied: no policy selects this side, and the default posture of nodes pool=blue is deny"
    }
    assert rules_in_force(engine, 1, Direction.INGRESS).rest.startswith("allowed")
    pairs = {(str(c.src), str(c.dst)) for c in connections(engine)}
    assert ("x/b[Pod]", "x/a[Pod]") not in pairs
    assert ("x/h[Pod]", "x/a[Pod]") in pairs, "a pod and its own node: no policy, no posture"
    assert {f.object for f in lint(engine) if f.code == "no-policy"} == {"Pod x/b"}


def test_an_isolated_pod_never_meets_the_posture() -> None:
    selected = LabelSelector()
    policy = NetworkPolicy("x", "open", selected, ("Ingress",), (NetworkPolicyRule(),))
    engine = Engine(cluster(policy), Options(posture=Postures(DENY)))
    verdict = engine.decide(engine.ends.address("203.0.113.9"), engine.ends.pod("x", "a"), 6, 80)
    assert verdict.allowed
    assert verdict.ingress.policy == "x/open"
    back = engine.decide(engine.ends.pod("x", "a"), engine.ends.address("203.0.113.9"), 6, 80)
    assert back.egress.tier is Tier.POSTURE
    assert "the default posture of the cluster is deny" in back.reason
