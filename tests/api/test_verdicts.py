"""What agents say was denied, from their batch to the flow table, the map, the metrics and the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from api.conftest import between, manifests, send
from api.running import RunningServer
from api.test_answers import ask
from eastwest.cli.main import main

ISOLATED = "NetworkPolicy carts/carts ingress isolation"
AUDITED = "NetworkPolicy ui/ui egress isolation"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """carts denies ui-1; ui-2's way to the internet is audited; nobody decides about S3."""
    folder = tmp_path_factory.mktemp("verdicts")
    with RunningServer(folder, "--manifests", str(manifests(folder / "manifests"))) as server:
        client = between("10.0.0.1", "10.0.1.1", pod_uid="uid-ui-1", policy_allowed=4, policy_denied=0,
                         policy_would_deny=0, allowed_by="NetworkPolicy ui/ui egress[0]", connections_established=0)  # fmt: skip
        denied = {"policy_allowed": 0, "policy_denied": 4, "policy_would_deny": 0, "denied_by": ISOLATED}
        at_carts = client | {"reporter": "server", "pod_uid": "uid-carts-1", "allowed_by": None} | denied
        web = between("10.0.0.2", "93.184.216.34", pod_uid="uid-ui-2", dst_port=443, policy_allowed=0, policy_denied=0,
                      policy_would_deny=6, denied_by=AUDITED)  # fmt: skip
        send(server, 0, [client, between("10.0.0.1", "52.216.1.1", pod_uid="uid-ui-1", dst_port=443)], "node-a")
        send(server, 0, [at_carts, web], "node-b")
        yield server


def test_denied_flows_say_which_end_denied_and_which_rule_is_missing(shop: RunningServer) -> None:
    (row,) = ask(shop, "/api/v1/flows", verdict="denied")["rows"]
    assert (row["verdict"], row["policy_allowed"], row["policy_denied"], row["policy_would_deny"]) == (
        "denied",
        4,
        4,
        0,
    )
    assert (row["ingress_denied_by"], row["egress_denied_by"]) == (ISOLATED, None)
    assert row["egress_allowed_by"] == "NetworkPolicy ui/ui egress[0]"
    assert row["missing"] == "ingress of carts/carts from ui/ui TCP 8080"


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"verdict": "would-deny"}, {"93.184.216.34"}),
        ({"verdict": "allowed"}, set()),
        ({"filter": "verdict=would_deny"}, {"93.184.216.34"}),
        ({"filter": "denied_by~isolation"}, {"93.184.216.34", "10.0.1.1"}),
        ({"filter": "verdict=null"}, {"52.216.1.1"}),
        ({"filter": "verdict!=denied"}, {"93.184.216.34", "52.216.1.1"}),
        ({"filter": "allowed_by~ui/ui and policy_denied>0"}, {"10.0.1.1"}),
        ({"sort": "-policy_denied", "limit": "1"}, {"10.0.1.1"}),
        ({"sort": "-verdict", "limit": "1"}, {"93.184.216.34"}),
    ],
)
def test_flows_by_verdict(shop: RunningServer, params: dict[str, str], found: set[str]) -> None:
    assert {row["dst_ip"] for row in ask(shop, "/api/v1/flows", **params)["rows"]} == found


def test_the_map_carries_the_verdict_of_each_edge(shop: RunningServer) -> None:
    edges = {
        e["target"]: (e["verdict"], e["policy_denied"], e["missing"]) for e in ask(shop, "/api/v1/service-map")["edges"]
    }
    assert edges == {
        "workload:carts/Deployment/carts": ("denied", 4, "ingress of carts/carts from ui/ui TCP 8080"),
        "internet:93.184.216.34": ("would_deny", 0, "egress of ui/ui to 93.184.216.34 TCP 443"),
        "aws:S3/us-east-1": (None, None, None),
    }
    assert len(ask(shop, "/api/v1/service-map", verdict="denied")["edges"]) == 1


def test_completion_offers_verdicts_and_reasons(shop: RunningServer) -> None:
    assert ask(shop, "/api/v1/filter/complete", filter="verdict=")["completions"][:2] == ["denied", "partly"]
    offered = ask(shop, "/api/v1/filter/complete", filter="denied_by=carts")["completions"]
    assert offered == [f'"{ISOLATED}"']


def test_an_unknown_verdict_is_refused(shop: RunningServer) -> None:
    answer = shop.get("/api/v1/flows", verdict="maybe")
    assert (answer.status_code, answer.json()["parameter"]) == (400, "verdict")


def test_metrics_by_workload_and_policy(shop: RunningServer) -> None:
    text = shop.get("/api/v1/metrics").text
    mine = [x for x in text.splitlines() if x.startswith("eastwest_policy_packets_total")]
    (line,) = (x for x in mine if '"denied"' in x)
    assert 'workload="carts"' in line
    assert 'policy="NetworkPolicy carts/carts"' in line
    assert line.split("}")[1].split()[0] == "4"


def test_the_terminal_shows_denied_flows_with_the_missing_rule(
    shop: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flows", "--server", shop.url, "--verdict", "denied"]) == 0
    head, line, *_ = capsys.readouterr().out.splitlines()
    row = dict(zip(head.split("\t"), line.split("\t"), strict=True))
    assert (row["VERDICT"], row["DENIED"], row["MISSING"]) == (
        "denied",
        "4",
        "ingress of carts/carts from ui/ui TCP 8080",
    )
    assert row["DECIDED BY"] == ISOLATED
    assert main(["flows", "--server", shop.url, "--verdict", "would-deny", "--json"]) == 0
    assert [r["dst_ip"] for r in json.loads(capsys.readouterr().out)["rows"]] == ["93.184.216.34"]
    assert main(["map", "--server", shop.url, "--columns", "policy"]) == 0
    assert "would deny" in capsys.readouterr().out


def test_an_unanswered_call_to_a_service_says_what_the_other_end_denied(shop: RunningServer) -> None:
    """The last of this file: it adds rows. ui-2's node does not see the translation; the backend's denies."""
    nothing = {"bytes_reverse": 0, "packets_reverse": 0, "segments_reverse": 0, "connections_established": 0}
    call = between("10.0.0.2", "10.96.0.1", pod_uid="uid-ui-2", dst_port=80, **nothing)
    at_carts = between("10.0.0.2", "10.0.1.1", pod_uid="uid-carts-1", reporter="server", policy_allowed=0, policy_denied=3,
                       policy_would_deny=0, denied_by=ISOLATED, **nothing)  # fmt: skip
    send(shop, 1, [call, at_carts], "node-b")
    edges = {e["target"]: e for e in ask(shop, "/api/v1/service-map")["edges"]}
    assert edges["service:carts/carts"]["verdict"] is None
    assert edges["service:carts/carts"]["missing"] == (
        "unanswered: the other end denied it: ingress of carts/carts from ui/ui TCP 8080"
    )
    assert edges["workload:carts/Deployment/carts"]["missing"] == "ingress of carts/carts from ui/ui TCP 8080"
