"""Every lint code: found where it should be, with its line and fix, and not found on good policies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from eastwest.cli.main import main
from eastwest.model.cluster import ClusterState
from eastwest.policy import Engine
from eastwest.policy.connections import connections
from eastwest.policy.lint.checks import lint
from policy.clusters import clusters
from policy.shop import DENY, ORDERS_TO_DB, SHOP, UI_TO_ORDERS, write
from policy.test_reference import LAW

DNS = """
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: dns, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
      ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: dns, namespace: kube-system}
spec: {podSelector: {}, ingress: [{}]}
"""
HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: t, namespace: shop}\nspec:\n"
CNP = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: %s}\nspec:\n  tier: Admin\n"


def found(folder: str, capsys: pytest.CaptureFixture[str], *, code: int = 1) -> list[dict[str, object]]:
    assert main(["policy", "lint", folder, "--json"]) == code
    out: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return out


def test_good_policies_have_no_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, shop=SHOP, deny=DENY, ui=UI_TO_ORDERS, db=ORDERS_TO_DB, dns=DNS)
    assert found(folder, capsys, code=0) == []
    assert main(["policy", "lint", folder]) == 0
    assert capsys.readouterr().out == "nothing found\n"


@pytest.mark.parametrize(
    ("text", "code", "line", "says", "fix"),
    [
        ("  podSelector: {matchLabels: {app: orderz}}\n", "selects-nothing", 5, "(app=orderz) matches no pod", "did you mean app=orders?"),
        (
            "  podSelector: {}\n  ingress:\n    - from:\n        - podSelector: {matchLabels: {app: uii}}\n",
            "rule-matches-nothing", 7, "pods app=uii of shop: no such pod", "did you mean app=ui?",
        ),
        (
            "  podSelector: {}\n  ingress:\n    - from:\n        - podSelector: {}\n"
            "        - namespaceSelector: {matchLabels: {name: shop}}\n",
            "peer-matches-nothing", 9, "all pods of namespaces name=shop", "kubernetes.io/metadata.name: shop",
        ),
        (
            "  podSelector: {}\n  ingress:\n    - from: [{podSelector: {matchLabels: {app: agent}}}]\n",
            "host-network-peer", 7, "only host-network pods match (shop/agent)", "ipBlock",
        ),
        (
            "  podSelector: {}\n  egress:\n    - to: [{ipBlock: {cidr: 172.20.0.7/32}}]\n",
            "service-address", 7, "the address of Service shop/orders", "podSelector app=orders",
        ),
        (
            "  podSelector: {}\n  egress:\n    - to: [{ipBlock: {cidr: 10.0.0.5/32}}]\n",
            "pod-address", 7, "the address of pod shop/bare", "app=bare",
        ),
        (
            "  podSelector: {matchLabels: {app: orders}}\n  ingress:\n    - ports: [{port: htp}]\n",
            "named-port-unknown", 7, "no destination pod has a TCP port named 'htp'", "http (TCP 8080)",
        ),
        (
            "  podSelector: {matchLabels: {app: orders}}\n  ingress:\n    - ports: [{port: 80}]\n",
            "service-port", 7, "TCP 80 is the port of Service shop/orders", "use the pods' port: http",
        ),
        (
            "  podSelector: {matchLabels: {app: ui}}\n  policyTypes: [Egress]\n  egress:\n    - ports: [{port: 53, protocol: UDP}]\n",
            "dns-without-tcp", 8, "egress rule 0 allows DNS over UDP only", "{protocol: TCP, port: 53}",
        ),
        (
            "  podSelector: {matchLabels: {app: ui}}\n  policyTypes: [Egress]\n  egress:\n    - ports: [{port: 8080}]\n",
            "dns-blocked", 7, "shop/ui may not ask DNS", "allow UDP and TCP 53",
        ),
        (
            "  podSelector: {}\n  ingress:\n    - from: [{podSelector: {}}]\n    - from: [{podSelector: {matchLabels: {app: ui}}}]\n      ports: [{port: 8080}]\n",
            "shadowed-rule", 8, "ingress rule 1 adds nothing: shop/t[0]", "delete it",
        ),
    ],
)  # fmt: skip
def test_each_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: str, line: int, says: str, fix: str
) -> None:
    extra = """
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: shop, labels: {app: agent}}
spec: {hostNetwork: true, nodeName: n1, containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop, labels: {app: bare}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.5, phase: Running}
"""
    folder = write(tmp_path, shop=SHOP, extra=extra, policy=HEAD + text)
    (one,) = [f for f in found(folder, capsys) if f["code"] == code]
    assert one["object"] == "NetworkPolicy shop/t"
    assert (str(one["file"]).rpartition("/")[2], one["line"]) == ("policy.yaml", line)
    assert says in str(one["message"])
    assert fix in str(one["fix"])


def test_pods_without_any_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, shop=SHOP, policy=HEAD + "  podSelector: {matchLabels: {app: ui}}\n")
    objects = {(f["object"], f["line"]) for f in found(folder, capsys) if f["code"] == "no-policy"}
    assert objects == {("Deployment shop/orders", 20), ("StatefulSet shop/orders-postgresql", 29)}


def test_cluster_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subject = "  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}\n"
    one = (
        CNP % "one" + "  priority: 5\n" + subject + "  egress:\n    - {action: Deny, to: [{namespaces: {}}]}\n"
        "    - {action: Accept, to: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: ui}}}}]}\n"
        "    - {action: Accept, to: [{domainNames: [example.com]}]}\n"
    )
    two = (
        CNP % "two"
        + "  priority: 5\n"
        + subject
        + "  egress:\n    - {action: Accept, to: [{namespaces: {matchLabels: {team: red}}}]}\n"
    )
    folder = write(tmp_path, shop=SHOP, one=one, two=two)
    codes = {(f["code"], f["object"], f["line"]) for f in found(folder, capsys)}
    assert codes == {
        ("priority-tie", "ClusterNetworkPolicy two", 6),
        ("shadowed-rule", "ClusterNetworkPolicy one", 10),
        ("domain-undecided", "ClusterNetworkPolicy one", 11),
        ("peer-matches-nothing", "ClusterNetworkPolicy two", 9),
    }


def test_invalid_objects_are_findings_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, shop=SHOP, bad=HEAD + "  podSelector: {}\n  ingress:\n    - ports: [{port: 99999}]\n")
    findings = found(folder, capsys, code=2)
    (one,) = [f for f in findings if f["code"] == "invalid"]
    assert str(one["file"]).endswith("bad.yaml")
    assert one["line"] == 7
    assert "spec.ingress[0].ports[0].port" in str(one["message"])
    assert {f["code"] for f in findings} == {"invalid", "no-policy"}, "the rest is linted all the same"


def test_ignored_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "lint", write(tmp_path, shop=SHOP), "--ignore", "no-policy"]) == 0


@LAW
@given(clusters())
def test_a_shadowed_rule_can_go(cluster: ClusterState) -> None:
    """Deleting the rule that lint calls superfluous changes no permitted connection."""
    shadowed = next((f for f in lint(Engine(cluster)) if f.code == "shadowed-rule"), None)
    if shadowed is None or not shadowed.object.startswith("NetworkPolicy"):
        return
    _, direction, index = shadowed.path
    without = tuple(
        replace(p, **{direction: tuple(r for i, r in enumerate(getattr(p, direction)) if i != index)})
        if f"NetworkPolicy {p.namespace}/{p.name}" == shadowed.object
        else p
        for p in cluster.network_policies
    )
    before, after = (
        {(str(c.src), str(c.dst), c.ports) for c in connections(Engine(state))}
        for state in (cluster, replace(cluster, network_policies=without))
    )
    assert before == after
