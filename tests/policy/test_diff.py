"""Semantic diff: nothing for equal sets, exactly the change for others, and the words of the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.cli.main import main
from eastwest.model.cluster import ClusterState
from eastwest.policy import Engine, PortSet
from eastwest.policy.connections import connections
from eastwest.policy.diff import compare
from eastwest.policy.ports import NOTHING
from policy.clusters import clusters
from policy.shop import DENY, ORDERS_TO_DB, SHOP, UI_TO_ORDERS, write
from policy.test_reference import LAW


@LAW
@given(clusters(), st.randoms(use_true_random=False))
def test_diff_of_equal_sets_is_empty(cluster: ClusterState, rng) -> None:
    shuffled = replace(
        cluster, network_policies=tuple(rng.sample(cluster.network_policies, len(cluster.network_policies)))
    )
    assert list(compare(cluster, shuffled)) == []


@LAW
@given(clusters())
def test_diff_is_the_difference_of_the_connections(cluster: ClusterState) -> None:
    """Old connections, minus what was removed, plus what was added, are the new ones."""
    new = replace(cluster, network_policies=cluster.network_policies[1:])

    def inside(state: ClusterState) -> dict[tuple[object, object], PortSet]:
        found = connections(Engine(state))
        return {(c.src, c.dst): c.ports for c in found if not isinstance(c.src, str) and not isinstance(c.dst, str)}

    expected = inside(cluster)
    for d in compare(cluster, new):
        if not isinstance(d.src, str) and not isinstance(d.dst, str):
            before = expected.get((d.src, d.dst), NOTHING)
            expected[d.src, d.dst] = before - d.ports if d.change == "removed" else before | d.ports
    assert {k: v for k, v in expected.items() if v} == inside(new)


def test_the_command_says_what_is_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = write(tmp_path / "old", shop=SHOP, deny=DENY, ui=UI_TO_ORDERS)
    new = write(tmp_path / "new", deny=DENY, ui=UI_TO_ORDERS, db=ORDERS_TO_DB)
    assert main(["policy", "diff", old, new]) == 1
    assert capsys.readouterr().out == "adds orders → orders-postgresql TCP 5432\n"
    assert main(["policy", "diff", new, old]) == 1
    assert capsys.readouterr().out == "removes orders → orders-postgresql TCP 5432\n"
    assert main(["policy", "diff", old, old]) == 0
    assert "no difference" in capsys.readouterr().out


def test_rows_and_the_outside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = (
        UI_TO_ORDERS
        + """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: ui}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/25]}}], ports: [{port: 443}]}]
"""
    )
    old = write(tmp_path / "old", shop=SHOP, deny=DENY, ui=UI_TO_ORDERS)
    new = write(tmp_path / "new", deny=DENY, ui=policy)
    assert main(["policy", "diff", old, new, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {
            "change": "added",
            "src": "shop/ui[Deployment]",
            "dst": "203.0.113.128/25",
            "protocol": "TCP",
            "ports": "443",
        }
    ]


def test_a_new_workload_is_said_to_be_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = "\n---\n" + SHOP.split("---")[3].replace("orders", "cart").replace("ui", "cart")
    old = write(tmp_path / "old", shop=SHOP)
    new = write(tmp_path / "new", shop=SHOP, extra=extra)
    assert main(["policy", "diff", old, new]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "adds ui → cart all ports, all protocols (the workload itself is new or gone)" in lines
    assert all("cart" in line for line in lines)


def test_policies_alone_need_workloads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = write(tmp_path / "old", deny=DENY), write(tmp_path / "new", deny=DENY, ui=UI_TO_ORDERS)
    assert main(["policy", "diff", old, new]) == 2
    assert "--cluster DIR" in capsys.readouterr().err
    cluster = write(tmp_path / "cluster", shop=SHOP)
    assert main(["policy", "diff", old, new, "--cluster", cluster]) == 1
    assert capsys.readouterr().out == "adds ui → orders TCP 8080\n"
