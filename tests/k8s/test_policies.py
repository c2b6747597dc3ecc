"""NetworkPolicy and ClusterNetworkPolicy: the API server's defaulting and validation."""

from __future__ import annotations

import json

import pytest
import yaml

from eastwest.k8s.manifests import Problem, RawObject, load_text, parse
from eastwest.model.policy import (
    ClusterNetworkPolicy,
    ClusterPolicyPeer,
    ClusterPolicyPort,
    IpBlock,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
    Requirement,
)

EMPTY = LabelSelector()


def read(kind: str, spec: str) -> tuple[NetworkPolicy | ClusterNetworkPolicy | None, list[Problem]]:
    version = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "policy.networking.k8s.io/v1alpha2"
    text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: p}}\nspec:\n  {spec.strip()}\n"
    found: list[RawObject] = []
    problems: list[Problem] = []
    load_text(text, "p.yaml", found, problems)
    state, more = parse(found)
    policies = (*state.network_policies, *state.cluster_network_policies)
    return (policies[0] if policies else None), [p for p in problems + more if p.severity != "note"]


def policy(spec: str) -> NetworkPolicy:
    found, problems = read("NetworkPolicy", spec)
    assert problems == []
    assert isinstance(found, NetworkPolicy)
    return found


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ("podSelector: {}", ("Ingress",)),
        ("{podSelector: {}, policyTypes: []}", ("Ingress",)),
        ("{podSelector: {}, egress: []}", ("Ingress",)),
        ("{podSelector: {}, egress: [{}]}", ("Ingress", "Egress")),
        ("{podSelector: {}, egress: [null]}", ("Ingress", "Egress")),
        ("{podSelector: {}, policyTypes: [Egress]}", ("Egress",)),
        ("{podSelector: {}, policyTypes: [Ingress], egress: [{}]}", ("Ingress",)),
        ("{podSelector: {}, policyTypes: [Egress, Ingress]}", ("Ingress", "Egress")),
    ],
)
def test_policy_types_default_as_the_api_server_does(spec: str, types: tuple[str, ...]) -> None:
    assert policy(spec).policy_types == types


def test_missing_and_empty_peers_and_ports_are_one() -> None:
    rules = policy("{podSelector: {}, ingress: [{}, {from: []}, {from: null, ports: []}, {ports: [{}]}]}").ingress
    assert rules[:3] == (NetworkPolicyRule(),) * 3
    assert rules[3] == NetworkPolicyRule(None, (NetworkPolicyPort("TCP", None),))


def test_peers_keep_missing_and_empty_selectors_apart() -> None:
    (rule,) = policy(
        "{podSelector: {}, ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}}, "
        "{namespaceSelector: {matchLabels: {a: b}}, podSelector: {matchExpressions: [{key: k, operator: NotIn, values: [x]}]}}, "
        "{ipBlock: {cidr: 10.161.0.0/8, except: [10.1.0.5/16]}}]}]}"
    ).ingress
    assert rule.peers == (
        NetworkPolicyPeer(pod_selector=EMPTY),
        NetworkPolicyPeer(namespace_selector=EMPTY),
        NetworkPolicyPeer(
            LabelSelector(match_expressions=(Requirement("k", "NotIn", ("x",)),)), LabelSelector((("a", "b"),))
        ),
        NetworkPolicyPeer(ip_block=IpBlock("10.0.0.0/8", ("10.1.0.0/16",))),
    )


def test_ports() -> None:
    (rule,) = policy(
        "{podSelector: {}, egress: [{ports: [{port: 80}, {port: dns, protocol: UDP}, {protocol: SCTP}, "
        "{port: 1, endPort: 65535}]}]}"
    ).egress
    assert rule.ports == (
        NetworkPolicyPort("TCP", 80),
        NetworkPolicyPort("UDP", "dns"),
        NetworkPolicyPort("SCTP", None),
        NetworkPolicyPort("TCP", 1, 65535),
    )


@pytest.mark.parametrize(
    ("cidr", "canonical"),
    [
        ("010.0.0.1/32", "10.0.0.1/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("FD00::1/64", "fd00::/64"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_cidrs_become_canonical(cidr: str, canonical: str) -> None:
    (rule,) = policy(f"{{podSelector: {{}}, egress: [{{to: [{{ipBlock: {{cidr: '{cidr}'}}}}]}}]}}").egress
    assert rule.peers == (NetworkPolicyPeer(ip_block=IpBlock(canonical)),)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ("{form: []}", "spec.ingress[0].form"),
        ("{from: [{}]}", "spec.ingress[0].from[0]"),
        ("{from: [null]}", "spec.ingress[0].from[0]"),
        ("{from: [{podSelector: null}]}", "spec.ingress[0].from[0]"),
        ("{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}", "spec.ingress[0].from[0]"),
        ("{from: [{ipBlock: {}}]}", "spec.ingress[0].from[0].ipBlock.cidr"),
        ("{from: [{ipBlock: {cidr: 10.0.0.1}}]}", "spec.ingress[0].from[0].ipBlock.cidr"),
        ("{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}", "spec.ingress[0].from[0].ipBlock.cidr"),
        ("{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}", "spec.ingress[0].from[0].ipBlock.except[0]"),
        ("{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/9]}}]}", "spec.ingress[0].from[0].ipBlock.except[0]"),
        ("{from: [{ipBlock: {cidr: 10.0.0.0/8, except: ['fd00::/9']}}]}", "spec.ingress[0].from[0].ipBlock.except[0]"),
        ("{from: [{podSelector: {matchLabels: {a: 1}}}]}", "spec.ingress[0].from[0].podSelector.matchLabels.a"),
        ("{from: [{podSelector: {matchLabels: {a: 'x y'}}}]}", "spec.ingress[0].from[0].podSelector.matchLabels.a"),
        (
            "{from: [{podSelector: {matchExpressions: [{key: a, operator: In}]}}]}",
            "spec.ingress[0].from[0].podSelector.matchExpressions[0].values",
        ),
        (
            "{from: [{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [x]}]}}]}",
            "spec.ingress[0].from[0].podSelector.matchExpressions[0].values",
        ),
        (
            "{from: [{podSelector: {matchExpressions: [{key: a, operator: Gt, values: ['1']}]}}]}",
            "spec.ingress[0].from[0].podSelector.matchExpressions[0].operator",
        ),
        ("{ports: [{port: 0}]}", "spec.ingress[0].ports[0].port"),
        ("{ports: [{port: 65536}]}", "spec.ingress[0].ports[0].port"),
        ("{ports: [{port: '80'}]}", "spec.ingress[0].ports[0].port"),
        ("{ports: [{port: Http}]}", "spec.ingress[0].ports[0].port"),
        ("{ports: [{port: a-very-long-port-name}]}", "spec.ingress[0].ports[0].port"),
        ("{ports: [{protocol: tcp}]}", "spec.ingress[0].ports[0].protocol"),
        ("{ports: [{protocol: ICMP}]}", "spec.ingress[0].ports[0].protocol"),
        ("{ports: [{endPort: 80}]}", "spec.ingress[0].ports[0].endPort"),
        ("{ports: [{port: http, endPort: 80}]}", "spec.ingress[0].ports[0].endPort"),
        ("{ports: [{port: 81, endPort: 80}]}", "spec.ingress[0].ports[0].endPort"),
        ("{ports: 80}", "spec.ingress[0].ports"),
        ("80", "spec.ingress[0]"),
    ],
)
def test_what_the_api_server_refuses_is_an_error_and_left_out(rule: str, field: str) -> None:
    found, problems = read("NetworkPolicy", f"podSelector: {{}}\n  ingress:\n  - {rule}")
    assert found is None
    assert [(p.severity, p.field) for p in problems] == [("error", field)]
    assert problems[0].line in (6, 7)
    assert problems[0].file == "p.yaml"


@pytest.mark.parametrize(
    ("spec", "field"), [("{policyTypes: [Both]}", "spec.policyTypes[0]"), ("{podSelectr: {}}", "spec.podSelectr")]
)
def test_what_is_refused_at_the_top(spec: str, field: str) -> None:
    found, problems = read("NetworkPolicy", spec)
    assert found is None
    assert field in [p.field for p in problems]


def cluster_policy(**changes: object) -> tuple[ClusterNetworkPolicy | None, list[Problem]]:
    spec = {"tier": "Admin", "priority": 10, "subject": {"namespaces": {}}, **changes}
    found, problems = read("ClusterNetworkPolicy", json.dumps({k: v for k, v in spec.items() if v is not None}))
    assert found is None or isinstance(found, ClusterNetworkPolicy)
    return found, problems


def test_a_cluster_network_policy() -> None:
    spec = yaml.safe_load(
        """
ingress:
- name: from-monitoring
  action: Pass
  from: [{namespaces: {matchLabels: {a: b}}}, {pods: {namespaceSelector: {}, podSelector: {matchLabels: {x: y}}}}]
  protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 1, end: 9}}}},
              {destinationNamedPort: http}]
egress:
- {action: Accept, to: [{networks: ["10.0.0.0/8"]}, {nodes: {}}, {domainNames: ["*.example.com"]}]}
"""
    )
    found, problems = cluster_policy(**spec)
    assert problems == []
    assert found is not None
    (ingress,), (egress,) = found.ingress, found.egress
    assert (ingress.action, ingress.name) == ("Pass", "from-monitoring")
    assert ingress.peers == (
        ClusterPolicyPeer(namespaces=LabelSelector((("a", "b"),))),
        ClusterPolicyPeer(pods=(EMPTY, LabelSelector((("x", "y"),)))),
    )
    assert ingress.ports == (
        ClusterPolicyPort("TCP", 80, 80),
        ClusterPolicyPort("UDP", 1, 9),
        ClusterPolicyPort(None, named="http"),
    )
    assert egress.ports is None
    assert egress.peers == (
        ClusterPolicyPeer(networks=("10.0.0.0/8",)),
        ClusterPolicyPeer(nodes=EMPTY),
        ClusterPolicyPeer(domain_names=("*.example.com",)),
    )
    assert found.subject_namespaces == EMPTY


def test_an_unknown_peer_is_kept_and_marked() -> None:
    found, problems = cluster_policy(egress=[{"action": "Deny", "to": [{"planets": {}}]}])
    assert found is not None
    assert found.egress[0].peers == (ClusterPolicyPeer(unknown="planets"),)
    assert [p.severity for p in problems] == ["warning"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tier": "admin"}, "spec.tier"),
        ({"tier": None}, "spec.tier"),
        ({"priority": 1001}, "spec.priority"),
        ({"priority": None}, "spec.priority"),
        ({"subject": {}}, "spec.subject"),
        ({"subject": {"namespaces": {}, "pods": {}}}, "spec.subject"),
        ({"ingress": [{"action": "Allow", "from": [{"namespaces": {}}]}]}, "spec.ingress[0].action"),
        ({"ingress": [{"action": "Deny"}]}, "spec.ingress[0].from"),
        ({"ingress": [{"action": "Deny", "from": [{}]}]}, "spec.ingress[0].from[0]"),
        ({"egress": [{"action": "Deny", "to": [{"domainNames": ["a.b"]}]}]}, "spec.egress[0].to[0].domainNames"),
        ({"egress": [{"action": "Accept", "to": [{"domainNames": ["*"]}]}]}, "spec.egress[0].to[0].domainNames[0]"),
        ({"egress": [{"action": "Accept", "to": [{"networks": ["x"]}]}]}, "spec.egress[0].to[0].networks[0]"),
        (
            {"egress": [{"action": "Accept", "to": [{"nodes": {}}], "protocols": [{"destinationNamedPort": "http"}]}]},
            "spec.egress[0].protocols",
        ),
        (
            {"ingress": [{"action": "Deny", "from": [{"pods": {}}], "protocols": [{"tcp": {"destinationPort": {}}}]}]},
            "spec.ingress[0].protocols[0].tcp.destinationPort",
        ),
        ({"ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}] * 26}, "spec.ingress"),
    ],
)
def test_what_the_crd_refuses(changes: dict[str, object], field: str) -> None:
    found, problems = cluster_policy(**changes)
    assert found is None
    assert field in [p.field for p in problems]
