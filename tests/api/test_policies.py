"""Policies learnt from the server's own records: beside the current ones, on the map, and as a folder."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from api.conftest import between, manifests, send
from api.running import RunningServer

LOCKED = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "locked", "namespace": "carts"},
    "spec": {
        "podSelector": {"matchLabels": {"app": "carts"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "carts"}}}], "ports": [{"port": 9999}]}],
    },
}
UI_TO_CARTS = ("workload:ui/Deployment/ui", "workload:carts/Deployment/carts", "TCP", 8080)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """ui asks carts, although a policy lets only carts itself in; ui also asks a port that nobody answers."""
    folder = tmp_path_factory.mktemp("locked")
    objects = manifests(folder / "manifests")
    (objects / "policy.yaml").write_text(yaml.safe_dump(LOCKED))
    with RunningServer(folder, "--manifests", str(objects)) as server:
        asked = between("10.0.0.1", "10.0.1.1", pod_uid="uid-ui-1")
        silent = asked | {"dst_port": 22, "connections_established": 0, "bytes_reverse": 0}
        send(server, 0, [asked, silent], "node-a")
        send(server, 0, [asked | {"pod_uid": "uid-carts-1", "reporter": "server"}], "node-b")
        yield server


def ask(server: RunningServer, path: str = "", **params: Any) -> Any:
    response = server.get(f"/api/v1/policies{path}", **params)
    assert response.status_code == 200, response.text
    return response.json()


def edges(answer: Any) -> dict[tuple[str, str, str, int], Any]:
    return {(e["source"], e["target"], e["protocol"], e["dst_port"]): e for e in answer["edges"]}


def test_each_workload_has_its_learning_state_and_both_policies(locked: RunningServer) -> None:
    answer = ask(locked)
    ui, carts = sorted(answer["workloads"], key=lambda w: str(w["name"]), reverse=True)
    assert (ui["name"], ui["learning"], ui["not_observed"]) == ("ui", "gaps", ["ingress"])
    assert "node node-a was not heard" in ui["learning_text"]
    assert ui["current"] == []
    assert [policy["name"] for policy in carts["current"]] == ["carts/locked"]
    assert yaml.safe_load(carts["current"][0]["yaml"])["spec"] == {
        **LOCKED["spec"],  # type: ignore[dict-item]
        "ingress": [
            {
                "from": [{"podSelector": {"matchLabels": {"app": "carts"}}}],
                "ports": [{"protocol": "TCP", "port": 9999}],
            }
        ],
    }
    (rule,) = carts["rules"]
    assert (rule["direction"], rule["peer"], rule["ports"]) == ("ingress", "ui/ui[Deployment]", ["TCP 8080"])
    assert rule["connections"] > 0
    assert "adds ui/ui → carts TCP 8080" in [change["sentence"] for change in carts["changes"]]
    assert [policy["name"] for policy in answer["default_deny"]] == ["carts/default-deny", "ui/default-deny"]


def test_what_was_generated_denies_nothing_of_its_own_window(locked: RunningServer) -> None:
    answer = ask(locked)
    assert answer["replay"]["denied"] == []
    assert answer["replay"]["flows"] == 3
    assert [(a["src"], a["dst_port"]) for a in answer["replay"]["attempts"]] == [("ui/ui[Deployment]", 22)]
    assert answer["replay"]["unused"] == []


def test_the_map_says_what_current_policies_break(locked: RunningServer) -> None:
    answer = ask(locked, "/effect", set="current")
    broken = edges(answer)[UI_TO_CARTS]
    assert (answer["policies"], broken["state"]) == (1, "denied")
    assert "carts/locked" in broken["reason"]
    missing = yaml.safe_load(broken["missing_rule"])
    assert missing["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 8080}]
    assert [(u["policy"], u["rule"]) for u in answer["unused"]] == [("carts/locked", 0)]
    assert edges(answer)[(*UI_TO_CARTS[:3], 22)]["state"] == "attempt"


def test_the_map_under_generated_policies_has_the_ends_of_the_service_map(shop: RunningServer) -> None:
    for level in ("workload", "pod"):
        drawn = shop.get("/api/v1/service-map", level=level).json()
        judged = edges(ask(shop, "/effect", level=level))
        assert judged.keys() == edges(drawn).keys()
        assert {e["state"] for e in judged.values()} == {"allowed"}


def test_the_folder_is_what_the_command_writes(locked: RunningServer) -> None:
    response = locked.get("/api/v1/policies/download", accept_gaps="true", namespace="carts")
    assert response.headers["content-disposition"] == 'attachment; filename="policies-carts.zip"'
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.namelist() == ["carts/carts.yaml", "carts/default-deny.yaml", "carts/kustomization.yaml"]
        listed = yaml.safe_load(archive.read("carts/kustomization.yaml"))["resources"]
        assert listed == ["default-deny.yaml", "carts.yaml"]
    again = locked.get("/api/v1/policies/download", accept_gaps="true", namespace="carts")
    assert again.content == response.content


def test_gaps_are_refused_unless_accepted(locked: RunningServer) -> None:
    assert ask(locked)["gaps"]
    refused = locked.get("/api/v1/policies/download")
    assert (refused.status_code, refused.json()["parameter"]) == (400, "accept_gaps")
    workload, _, gap = ask(locked)["gaps"][0].partition(": ")
    namespace = workload.partition("/")[0]
    accepted = locked.get("/api/v1/policies/download", accept_gaps="true", namespace=namespace)
    with zipfile.ZipFile(io.BytesIO(accepted.content)) as archive:
        annotations = yaml.safe_load(archive.read(f"{namespace}/default-deny.yaml"))["metadata"]["annotations"]
    assert gap in annotations["eastwest.dev/incomplete"].splitlines(), "whoever reviews the policy reads it there"


@pytest.mark.parametrize(
    ("path", "params", "parameter"),
    [
        ("", {"window": "soon"}, "window"),
        ("", {"namespace": "No Such"}, "namespace"),
        ("", {"namespace": "ui,carts"}, "namespace"),
        ("", {"set": "current"}, "set"),
        ("/effect", {"set": "best"}, "set"),
        ("/effect", {"level": "zone"}, "level"),
        ("/download", {"accept_gaps": "perhaps"}, "accept_gaps"),
    ],
)
def test_the_parameter_is_named(shop: RunningServer, path: str, params: dict[str, str], parameter: str) -> None:
    response = shop.get(f"/api/v1/policies{path}", **params)
    assert (response.status_code, response.json()["parameter"]) == (400, parameter)


def test_a_range_without_traffic_has_no_policies(shop: RunningServer) -> None:
    answer = ask(shop, start="2020-01-01T00:00:00Z", end="2020-01-01T00:15:00Z")
    assert (answer["workloads"], answer["default_deny"], answer["replay"]["flows"]) == ([], [], 0)
