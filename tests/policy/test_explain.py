"""Explanations name the rules in force and partition the ports of a pair."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given

from eastwest.cli.main import main
from eastwest.model.cluster import ClusterState
from eastwest.policy import Engine
from eastwest.policy.explain import explain_pair
from eastwest.policy.ports import EVERYTHING, NOTHING
from policy.clusters import clusters
from policy.shop import DENY, SHOP, UI_TO_ORDERS, write
from policy.test_reference import LAW


@pytest.fixture
def shop(tmp_path: Path) -> str:
    return write(tmp_path / "m", shop=SHOP, deny=DENY, ui=UI_TO_ORDERS)


@LAW
@given(clusters())
def test_segments_partition_all_ports(cluster: ClusterState) -> None:
    engine = Engine(cluster)
    for i in range(len(cluster.pods)):
        src, dst = engine.ends.pod_at(i), engine.ends.pod_at(0)
        seen, allowed = NOTHING, NOTHING
        for segment in explain_pair(engine, src, dst):
            assert not seen & segment.ports
            seen = seen | segment.ports
            allowed = allowed | segment.ports if segment.allowed else allowed
        assert seen == EVERYTHING
        assert allowed == engine.allowed_ports(src, dst)


def test_rules_in_force_of_a_pod(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "explain", "shop/orders", shop]) == 0
    out = capsys.readouterr().out
    assert "ingress: isolated by shop/default-deny, shop/orders" in out
    assert "shop/orders rule 0: from pods app=ui of shop: TCP 8080 [now shop/ui[Deployment]]" in out
    assert "otherwise denied: isolated, and no rule matches" in out


def test_rules_in_force_as_json(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "explain", "shop/ui", shop, "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["egress"]["isolated_by"] == ["shop/default-deny", "shop/ui"]
    (rule,) = answer["egress"]["rules"]
    assert (rule["policy"], rule["ports"], rule["workloads"]) == (
        "shop/ui",
        "port 'http' (TCP)",
        ["shop/orders[Deployment]"],
    )


def test_every_port_of_a_pair(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "explain", "shop/ui", "shop/orders", shop]) == 0
    out = capsys.readouterr().out
    assert "allowed TCP 8080" in out
    assert "DENIED  TCP 1-8079,8081-65535, UDP, SCTP, ICMP and other protocols" in out


def test_one_port_through_a_service(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "explain", "shop/ui", "svc:shop/orders:80/TCP", shop]) == 0
    assert "shop/ui → shop/orders TCP 8080: allowed" in capsys.readouterr().out


def test_an_address_alone_has_no_rules(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "explain", "203.0.113.9", shop]) == 2
    assert "no policy selects it" in capsys.readouterr().err
