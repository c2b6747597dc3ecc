"""`eastwest policy check` and `connections` from the outside: what is printed, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eastwest.cli.main import main
from policy.shop import DENY, SHOP, UI_TO_ORDERS, write


@pytest.fixture
def shop(tmp_path: Path) -> str:
    return write(tmp_path / "m", shop=SHOP, deny=DENY, ui=UI_TO_ORDERS)


def test_check_allows_and_says_which_rules(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", "shop/ui", "shop/orders:8080/TCP", shop]) == 0
    out = capsys.readouterr().out
    assert "allowed: shop/ui → shop/orders TCP 8080" in out
    assert "NetworkPolicy shop/ui, egress rule 0" in out
    assert "NetworkPolicy shop/orders, ingress rule 0" in out


def test_check_denies_and_says_what_isolates(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", "shop/orders", "shop/orders-postgresql:5432/TCP", shop, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["allowed"] is False
    side = answer["results"][0]["ingress"]
    assert (side["tier"], side["isolated_by"]) == ("NetworkPolicy", ["shop/default-deny"])


def test_check_through_a_service_sees_the_backend_port(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", "shop/ui", "svc:shop/orders:80", shop]) == 0
    assert "TCP 8080 (through svc:shop/orders port 80)" in capsys.readouterr().out
    assert main(["policy", "check", "shop/ui", "172.20.0.7:80", shop]) == 0
    assert main(["policy", "check", "shop/ui", "svc:shop/orders:81", shop]) == 2
    assert "no backend for 81/TCP; its ports: 80/TCP" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("shop/uii", "shop/orders:80/TCP", "did you mean shop/ui"),
        ("shop/ui", "shop/orders:80/TCQ", "unknown protocol 'TCQ'"),
        ("shop/ui", "shop/orders", "expected TARGET:PORT/PROTO"),
        ("shop/ui", "shop/orders:70000/TCP", "port from 1 to 65535"),
        ("ui", "shop/orders:80/TCP", "expected ns/pod"),
    ],
)
def test_check_names_bad_words(
    shop: str, capsys: pytest.CaptureFixture[str], source: str, target: str, says: str
) -> None:
    assert main(["policy", "check", source, target, shop]) == 2
    assert says in capsys.readouterr().err


def test_bad_objects_are_named_and_the_rest_is_analysed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, shop=SHOP, bad=UI_TO_ORDERS.replace("port: 8080", "port: 808080"))
    assert main(["policy", "check", "shop/ui", "shop/orders:8080/TCP", folder]) == 2
    out, err = capsys.readouterr()
    assert "allowed: shop/ui → shop/orders" in out
    assert "bad.yaml:" in err
    assert "ports[0].port" in err


def test_connections_rows(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "connections", shop, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"src": "shop/ui[Deployment]", "dst": "shop/orders[Deployment]", "protocol": "TCP", "ports": "8080"}
    ]


def test_connections_without_policies_are_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, shop=SHOP)
    assert main(["policy", "connections", folder, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {r["protocol"] for r in rows} == {"*"}
    names = ("ui[Deployment]", "orders[Deployment]", "orders-postgresql[StatefulSet]")
    inside = {f"shop/{n}" for n in names}
    assert {(r["src"], r["dst"]) for r in rows if r["src"] in inside and r["dst"] in inside} == {
        (a, b) for a in inside for b in inside if a != b
    }
    assert {r["dst"] for r in rows} - inside == {"0.0.0.0/0"}, "the cluster's only known addresses are IPv4"


def test_nothing_permitted_is_an_empty_array(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "connections", write(tmp_path, shop=SHOP, deny=DENY), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_graphs(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "connections", shop, "--dot"]) == 0
    assert '"shop/ui[Deployment]" -> "shop/orders[Deployment]" [label="TCP 8080"];' in capsys.readouterr().out
    assert main(["policy", "connections", shop, "--mermaid"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("flowchart LR")
    assert '-->|"TCP 8080"|' in out


def test_a_missing_folder_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "connections", "/nowhere"]) == 2
    assert "/nowhere: no such file or folder" in capsys.readouterr().err


def test_policies_alone_are_seen_against_another_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `check` and `lint` do; without workloads nothing could be said, which is no answer of "nothing"."""
    policies, shop = write(tmp_path / "p", deny=DENY, ui=UI_TO_ORDERS), write(tmp_path / "m", shop=SHOP)
    assert main(["policy", "explain", "shop/ui", policies]) == 2
    assert "with --cluster" in capsys.readouterr().err
    assert main(["policy", "explain", "shop/ui", policies, "--cluster", shop]) == 0
    assert "isolated by shop/default-deny, shop/ui" in capsys.readouterr().out
    whole = write(tmp_path / "all", shop=SHOP, deny=DENY, ui=UI_TO_ORDERS)
    answers = []
    for words in ([whole], [policies, "--cluster", shop]):
        assert main(["policy", "connections", *words, "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1] != []
