"""Objects to YAML and back: a bundle's cluster files, and policies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eastwest.k8s.inventory import Inventory
from eastwest.k8s.manifests import Problem, RawObject, load_text, parse
from eastwest.k8s.sources import ObjectSource
from eastwest.k8s.write import cluster_files, document, network_policy_body
from eastwest.model.policy import (
    IpBlock,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
    Requirement,
)
from k8s.factories_k8s import SECOND, added, deleted, modified, node, pod, raw, service


def reread(files: dict[str, str]) -> tuple[list[RawObject], list[Problem]]:
    found: list[RawObject] = []
    problems: list[Problem] = []
    for name, text in files.items():
        load_text(text, name, found, problems)
    return found, problems


def test_an_inventory_survives_its_bundle() -> None:
    made = Inventory()
    made.fold(
        [
            added(node("n1", "192.168.0.1"), 0),
            added(pod("a", "10.0.0.1"), 100),
            deleted(pod("a", "10.0.0.1"), 200),
            added(pod("a", "10.0.0.1", uid="second"), 201),
            added(service("s", "10.96.0.1"), 0),
            modified(service("s", "10.96.0.1", ports=(443,)), 150),
        ]
    )
    files = cluster_files(made.versions(0, 1000 * SECOND))
    assert list(files) == ["nodes.yaml", "pods.yaml", "services.yaml"]
    found, problems = reread(files)
    assert problems == []
    again = Inventory([ObjectSource(found)])
    again.poll()
    assert cluster_files(again.versions(0, 1000 * SECOND)) == files
    for at in (50, 120, 160, 300):
        ours, theirs = made.state_at(at * SECOND), again.state_at(at * SECOND)
        assert [(p.uid, p.ips) for p in ours.pods] == [(p.uid, p.ips) for p in theirs.pods]
        assert [s.ports for s in ours.services] == [s.ports for s in theirs.services]


def test_only_the_window_is_written() -> None:
    made = Inventory()
    made.fold([added(pod("a", "10.0.0.1"), 100), deleted(pod("a", "10.0.0.1"), 200), added(pod("b", "10.0.0.2"), 300)])
    assert "name: a" in cluster_files(made.versions(150 * SECOND, 160 * SECOND))["pods.yaml"]
    assert cluster_files(made.versions(250 * SECOND, 260 * SECOND)) == {}


def test_secrets_stay_at_home() -> None:
    made = Inventory()
    secret = raw("Secret", "s", data={"password": "hunter2"})
    container = {
        "name": "c",
        "env": [{"name": "P", "value": "hunter2"}],
        "args": ["hunter2"],
        "ports": [{"containerPort": 1}],
    }
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [container], "volumes": [{"name": "hunter2"}]},
    }
    deployment = raw("Deployment", "d", spec={"template": template}, metadata={
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}, "managedFields": ["hunter2"]})  # fmt: skip
    made.fold([added(secret, 0), added(deployment, 0)])
    files = cluster_files(made.versions(0, SECOND))
    assert list(files) == ["workloads.yaml"]
    assert "hunter2" not in files["workloads.yaml"]
    assert "containerPort: 1" in files["workloads.yaml"]


def test_order_and_key_order_do_not_matter() -> None:
    events = [added(pod("a", "10.0.0.1", labels={"x": "1", "y": "2"}), 1), added(pod("b", "10.0.0.2"), 1)]
    turned = [events[1], added(pod("a", "10.0.0.1", labels={"y": "2", "x": "1"}), 1)]
    texts = []
    for order in (events, turned):
        made = Inventory()
        made.fold(order)
        texts.append(cluster_files(made.versions(0, 2 * SECOND)))
    assert texts[0] == texts[1]


NAMES = st.sampled_from(["app", "tier", "example.com/role"])
VALUES = st.sampled_from(["", "yes", "1.10", "web", "null"])
REQUIREMENTS = st.one_of(
    st.builds(
        Requirement, NAMES, st.sampled_from(["In", "NotIn"]), st.lists(VALUES, min_size=1, max_size=2).map(tuple)
    ),
    st.builds(Requirement, NAMES, st.sampled_from(["Exists", "DoesNotExist"])),
)
SELECTORS = st.builds(
    LabelSelector,
    st.dictionaries(NAMES, VALUES, max_size=2).map(lambda d: tuple(sorted(d.items()))),
    st.lists(REQUIREMENTS, max_size=2).map(tuple),
)
PEERS = st.one_of(
    st.builds(NetworkPolicyPeer, SELECTORS, st.none() | SELECTORS),
    st.builds(NetworkPolicyPeer, st.none(), SELECTORS),
    st.sampled_from([IpBlock("10.0.0.0/8", ("10.1.0.0/16",)), IpBlock("::/0")]).map(
        lambda b: NetworkPolicyPeer(ip_block=b)
    ),
)
PORTS = st.one_of(
    st.builds(NetworkPolicyPort, st.sampled_from(["TCP", "UDP", "SCTP"]), st.none() | st.sampled_from([80, "http"])),
    st.just(NetworkPolicyPort("TCP", 1, 9)),
)
RULES = st.builds(
    NetworkPolicyRule,
    st.none() | st.lists(PEERS, min_size=1, max_size=2).map(tuple),
    st.none() | st.lists(PORTS, min_size=1, max_size=2).map(tuple),
)


@given(
    st.builds(
        NetworkPolicy,
        st.just("shop"),
        st.just("p"),
        SELECTORS,
        st.sampled_from([("Ingress",), ("Egress",), ("Ingress", "Egress")]),
        st.lists(RULES, max_size=2).map(tuple),
        st.lists(RULES, max_size=2).map(tuple),
        st.dictionaries(st.just("note"), st.just("a: b\nc"), max_size=1),
        st.just("f.yaml"),
        st.just(3),
    )
)
def test_a_policy_written_is_the_policy_read(policy: NetworkPolicy) -> None:
    found, problems = reread({"f.yaml": document(network_policy_body(policy), "evidence:\n\n  12 connections")})
    state, more = parse(found)
    assert [p for p in problems + more if p.severity != "note"] == []
    (got,) = state.network_policies
    assert (got.line or 3, got) == (4, NetworkPolicy(**{**fields(policy), "line": 4}))


def fields(policy: NetworkPolicy) -> dict[str, object]:
    return {name: getattr(policy, name) for name in policy.__slots__}
