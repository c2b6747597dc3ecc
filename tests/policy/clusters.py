"""Random clusters and policies for property tests: small enough to shrink, rich enough to hit every construct."""

from __future__ import annotations

from hypothesis import strategies as st

from eastwest.model.cluster import ClusterState, ContainerPort, Namespace, Node, Pod
from eastwest.model.flow import Workload
from eastwest.model.policy import (
    ClusterNetworkPolicy,
    ClusterPolicyPeer,
    ClusterPolicyPort,
    ClusterPolicyRule,
    IpBlock,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
    Requirement,
)

NAMESPACES = ("x", "y")
PORTS = (79, 80, 81, 443, 65535)
CIDRS = ("0.0.0.0/0", "10.0.0.0/24", "10.0.0.0/30", "10.0.0.3/32", "10.9.0.0/16", "203.0.113.0/24", "::/0", "fd00::/64")
OUTSIDE = ("203.0.113.7", "198.51.100.1", "10.0.0.200", "2001:db8::1", "fd00::ffff")
NODES = (
    Node("n1", {"pool": "a"}, ips=("10.9.0.1", "fd00:9::1")),
    Node("n2", {"pool": "b"}, ips=("10.9.0.2", "fd00:9::2")),
)

labels = st.dictionaries(st.sampled_from(("app", "tier")), st.sampled_from(("a", "b")), max_size=2)
protocols = st.sampled_from(("TCP", "UDP", "SCTP"))
names = st.sampled_from(("web", "web", "web", "dns"))
named_protocols = st.sampled_from(("TCP", "TCP", "TCP", "UDP", "SCTP"))


@st.composite
def selectors(draw: st.DrawFn) -> LabelSelector:
    wanted = draw(st.dictionaries(st.sampled_from(("app", "tier")), st.sampled_from(("a", "b")), max_size=1))
    more = draw(st.lists(requirements, max_size=1))
    return LabelSelector(tuple(sorted(wanted.items())), tuple(more))


requirements = st.one_of(
    st.builds(
        Requirement,
        st.sampled_from(("app", "tier", "ns")),
        st.sampled_from(("In", "NotIn")),
        st.lists(st.sampled_from(("a", "b", "x")), min_size=1, max_size=2, unique=True).map(tuple),
    ),
    st.builds(Requirement, st.sampled_from(("app", "tier", "ns")), st.sampled_from(("Exists", "DoesNotExist"))),
)
ns_selectors = st.one_of(
    selectors(),
    st.sampled_from(NAMESPACES).map(lambda n: LabelSelector((("ns", n),))),
)


@st.composite
def pods(draw: st.DrawFn, index: int) -> Pod:
    host = draw(st.sampled_from((False, False, False, True)))
    node = draw(st.sampled_from((None, "n1", "n2")))
    if host:
        ips = next((n.ips for n in NODES if n.name == node), ())
    else:
        ips = draw(st.sampled_from(((), (f"10.0.0.{index}",), (f"10.0.0.{index}", f"fd00::{index}"))))
    ports = draw(st.lists(st.builds(ContainerPort, st.sampled_from(PORTS), named_protocols, names), max_size=2))
    space = draw(st.sampled_from(NAMESPACES))
    name = f"p{index}"
    return Pod(
        space, name, Workload(space, "Pod", name), labels=draw(labels), ips=ips, node=node, host_network=host,
        ports=tuple(ports), uid=name,
    )  # fmt: skip


@st.composite
def ip_blocks(draw: st.DrawFn) -> IpBlock:
    cidr = draw(st.sampled_from(CIDRS))
    inside = {"0.0.0.0/0": ("10.0.0.0/30", "203.0.113.0/25"), "10.0.0.0/24": ("10.0.0.2/31",), "::/0": ("fd00::/64",)}
    return IpBlock(cidr, tuple(draw(st.lists(st.sampled_from(inside.get(cidr, ()) or ("",)), max_size=2).map(_some))))


def _some(words: list[str]) -> list[str]:
    return sorted({w for w in words if w})


np_peers = st.one_of(
    st.builds(NetworkPolicyPeer, pod_selector=selectors()),
    st.builds(NetworkPolicyPeer, namespace_selector=ns_selectors),
    st.builds(NetworkPolicyPeer, pod_selector=selectors(), namespace_selector=ns_selectors),
    st.builds(NetworkPolicyPeer, ip_block=ip_blocks()),
)
np_ports = st.one_of(
    st.builds(NetworkPolicyPort, protocols),
    st.builds(NetworkPolicyPort, protocols, st.sampled_from(PORTS)),
    st.builds(NetworkPolicyPort, protocols, st.just(80), st.sampled_from((80, 81, 1000))),
    st.builds(NetworkPolicyPort, named_protocols, names),
)


def some(strategy: st.SearchStrategy) -> st.SearchStrategy:  # type: ignore[type-arg]
    """None (missing), or a short tuple."""
    return st.one_of(st.none(), st.lists(strategy, min_size=1, max_size=3).map(tuple))


np_rules = st.builds(NetworkPolicyRule, some(np_peers), some(np_ports))


@st.composite
def network_policies(draw: st.DrawFn, index: int) -> NetworkPolicy:
    types = draw(st.sampled_from((("Ingress",), ("Egress",), ("Ingress", "Egress"))))
    rules = st.lists(np_rules, max_size=2).map(tuple)
    return NetworkPolicy(
        draw(st.sampled_from(NAMESPACES)), f"np{index}", draw(selectors()), types, draw(rules), draw(rules)
    )


pod_peers = st.one_of(
    st.builds(ClusterPolicyPeer, namespaces=ns_selectors),
    st.builds(ClusterPolicyPeer, pods=st.tuples(ns_selectors, selectors())),
    st.just(ClusterPolicyPeer(unknown="mesh")),
)
egress_peers = st.one_of(
    pod_peers,
    st.builds(ClusterPolicyPeer, nodes=selectors()),
    st.builds(ClusterPolicyPeer, nodes=st.just(LabelSelector((("pool", "a"),)))),
    st.builds(ClusterPolicyPeer, networks=st.lists(st.sampled_from(CIDRS), min_size=1, max_size=2).map(tuple)),
)
cnp_ports = st.one_of(
    st.builds(lambda p, n: ClusterPolicyPort(p, n, n), protocols, st.sampled_from(PORTS)),
    st.builds(lambda p: ClusterPolicyPort(p, 80, 443), protocols),
    st.builds(lambda n: ClusterPolicyPort(None, named=n), names),
)


def cnp_rules(peers: st.SearchStrategy) -> st.SearchStrategy:  # type: ignore[type-arg]
    actions = st.sampled_from(("Accept", "Deny", "Pass"))
    return st.lists(
        st.builds(ClusterPolicyRule, actions, st.lists(peers, min_size=1, max_size=2).map(tuple), some(cnp_ports)),
        max_size=3,
    ).map(tuple)


@st.composite
def cluster_policies(draw: st.DrawFn, index: int) -> ClusterNetworkPolicy:
    pods_subject = draw(st.booleans())
    return ClusterNetworkPolicy(
        f"cnp{index}",
        draw(st.sampled_from(("Admin", "Baseline"))),
        draw(st.integers(0, 3)),
        subject_namespaces=None if pods_subject else draw(ns_selectors),
        subject_pods=draw(st.tuples(ns_selectors, selectors())) if pods_subject else None,
        ingress=draw(cnp_rules(pod_peers)),
        egress=draw(cnp_rules(egress_peers)),
    )


@st.composite
def clusters(draw: st.DrawFn) -> ClusterState:
    return ClusterState(
        namespaces=tuple(Namespace(n, {"ns": n, "kubernetes.io/metadata.name": n} | draw(labels)) for n in NAMESPACES),
        nodes=NODES,
        pods=tuple(draw(pods(i)) for i in range(1, draw(st.integers(2, 5)) + 1)),
        network_policies=tuple(draw(network_policies(i)) for i in range(draw(st.integers(0, 4)))),
        cluster_network_policies=tuple(draw(cluster_policies(i)) for i in range(draw(st.integers(0, 3)))),
    )
