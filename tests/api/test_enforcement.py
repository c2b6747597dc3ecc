"""Enforcement on a real server over loopback: agents' long polls and what they tell, and what people set and see."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.running import RunningServer, eventually
from eastwest.model.plan import Mode, NodePlan
from eastwest.model.realised import Realised, RealisedPod
from eastwest.runtime.tokens import agent_token, load_secret
from eastwest.wire.plan import KIND_HEADER, plan_path, realised_path
from eastwest.wire.plan_delta import read
from eastwest.wire.realised import to_json
from enforce.factories_cluster import policy, shop, watch_line

CLUSTER = "c1"


class Site:
    """A server that follows a watch log which the test writes."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "run" / "lab" / "tests" / "watch.jsonl"
        self.log.parent.mkdir(parents=True)
        self.now_ns = 0
        self.put(*shop())
        self.server = RunningServer(folder / "server", "--lab", "tests")

    def put(self, *objects: dict[str, Any], kind: str = "MODIFIED") -> int:
        with self.log.open("a") as file:
            for body in objects:
                self.now_ns += 1
                file.write(watch_line(body, self.now_ns, kind))
        return self.now_ns

    def token(self, node: str) -> dict[str, str]:
        token = agent_token(load_secret(self.server.data), CLUSTER, node)
        return {"Authorization": f"Bearer {token}"}

    def ask(
        self, node: str, have: NodePlan | None = None, wait: float = 0, more: dict[str, str] | None = None
    ) -> httpx.Response:
        query: dict[str, Any] = {"cluster": CLUSTER, "wait": wait} | (more or {})
        if have is not None:
            query["have"] = f"{have.version}:{have.digest}"
        url = f"{self.server.url}{plan_path(node)}"
        return httpx.get(url, params=query, headers=self.token(node), timeout=30, trust_env=False)

    def tell(self, plan: NodePlan) -> httpx.Response:
        told = Realised(plan.node, plan.version, plan.digest, 3, 1, tuple(RealisedPod(p.uid) for p in plan.pods))
        url = f"{self.server.url}{realised_path(plan.node)}?cluster={CLUSTER}"
        return httpx.post(url, content=to_json(told), headers=self.token(plan.node), timeout=30, trust_env=False)

    def set(self, path: str, **body: Any) -> httpx.Response:
        return httpx.put(f"{self.server.url}/api/v1/enforcement/{path}", json=body, timeout=30, trust_env=False)

    def status(self) -> dict[str, Any]:
        answer = self.server.get("/api/v1/enforcement")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert isinstance(found, dict)
        return found

    def until(self, at_ns: int) -> dict[str, Any]:
        return eventually("the planner", lambda: (s := self.status())["inventory_ns"] >= at_ns and s)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("enforcement")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASTWEST_RUN_DIR", str(folder / "run"))
        found = Site(folder)
        with found.server:
            yield found


@pytest.fixture(autouse=True)
def everything_off(request: pytest.FixtureRequest) -> None:
    if "site" in request.fixturenames:
        found: Site = request.getfixturevalue("site")
        assert found.set("namespaces/shop", mode="off").status_code == 200


def newest(site: Site, node: str) -> NodePlan:
    answer = site.ask(node)
    assert answer.status_code == 200
    assert answer.headers[KIND_HEADER] == "snapshot"
    return read(answer.content, None)


def test_a_plan_is_asked_for_with_the_nodes_own_token(site: Site) -> None:
    url = f"{site.server.url}{plan_path('node-a')}"
    assert httpx.get(url, params={"cluster": CLUSTER}, trust_env=False).status_code == 401
    other = httpx.get(url, params={"cluster": CLUSTER}, headers=site.token("node-b"), trust_env=False)
    assert (other.status_code, other.text) == (403, f"this token does not speak for node-a of {CLUSTER}\n")
    assert site.ask("node-a", more={"have": "nonsense"}).status_code == 400
    assert newest(site, "node-a").node == "node-a"
    told = httpx.post(f"{site.server.url}{realised_path('node-a')}?cluster={CLUSTER}", content=b"{}", trust_env=False)
    assert told.status_code == 401
    for body, status in ((b"{", 422), (to_json(Realised("node-b", 0, "", 0, 0)), 403)):
        wrong = httpx.post(
            f"{site.server.url}{realised_path('node-a')}?cluster={CLUSTER}",
            content=body,
            headers=site.token("node-a"),
            trust_env=False,
        )
        assert wrong.status_code == status


def test_a_waiting_agent_gets_the_change_as_a_delta(site: Site) -> None:
    site.set("namespaces/shop", mode="enforce")
    had = newest(site, "node-b")
    assert site.ask("node-b", had, wait=0).status_code == 204
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(site.ask("node-b", had, wait=20)))
    waiting.start()
    eventually("it waits", lambda: waiting.is_alive())
    site.put(policy("db", "db", ("api", 5432)))
    waiting.join(20)
    (answer,) = answers
    assert answer.status_code == 200
    now = read(answer.content, had)
    assert now.version > had.version
    assert {p.name: p.ingress.mode for p in now.pods} == {"api": Mode.ENFORCE, "db": Mode.ENFORCE}
    assert "shop/db" in now.sources
    site.put(policy("db", "db"), kind="DELETED")


def test_many_agents_wait_and_the_server_still_answers(site: Site) -> None:
    """More than the server's thread pool has threads; all of them hear of one change."""
    site.set("namespaces/shop", mode="enforce")
    had = newest(site, "node-a")
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(site.ask("node-a", had, wait=20).status_code)) for _ in range(80)
    ]
    for thread in threads:
        thread.start()
    assert site.status()["nodes"]
    assert not answers
    site.set("namespaces/shop", mode="audit")
    for thread in threads:
        thread.join(20)
    assert answers == [200] * 80


def test_a_mode_is_set_realised_and_shown(site: Site) -> None:
    at = site.put(policy("all", None, ("web", 80)))
    answer = site.set("namespaces/shop", mode="enforce", direction="ingress", nodes=["node-b"])
    assert answer.status_code == 200
    modes = {(m["direction"], m["mode"]): m["nodes"] for m in answer.json()["modes"]}
    assert modes["ingress", "off"] == [{"node": "node-b", "mode": "enforce"}]
    said = eventually(
        "the settings are compiled",
        lambda: (s := site.until(at))["policies"][0]["text"].startswith("in force on 0 of 2") and s,
    )
    assert said["policies"][0]["text"] == "in force on 0 of 2 pods; waiting for node-b (1 more are off)"
    plan = newest(site, "node-b")
    assert site.tell(plan).status_code == 204
    said = site.status()
    assert said["policies"][0]["text"] == "in force on 2 of 2 pods (1 more are off)"
    node = next(n for n in said["nodes"] if n["node"] == "node-b")
    assert node["version"] == node["realised_version"] == plan.version
    assert (node["generation"], node["missing"], node["reason"]) == (3, [], None)
    (ingress,) = [n for n in said["namespaces"] if n["namespace"] == "shop" and n["direction"] == "ingress"]
    assert (ingress["mode"], ingress["nodes"], ingress["in_force"]) == (
        "off",
        [{"node": "node-b", "mode": "enforce"}],
        2,
    )
    metrics = site.server.get("/api/v1/metrics").text
    assert f'eastwest_enforcement_realised_version{{node="node-b"}} {plan.version}\n' in metrics
    assert 'eastwest_enforcement_realised_generation{node="node-b"} 3\n' in metrics
    assert 'eastwest_enforcement_pods_waiting{node="node-b"} 0\n' in metrics
    site.put(policy("all", None), kind="DELETED")


def test_a_plan_in_words_and_what_would_change(site: Site) -> None:
    site.set("namespaces/shop", mode="enforce")
    at = site.put(policy("db", "db", ("api", 5432)))
    site.until(at)
    site.tell(newest(site, "node-b"))
    at = site.put(policy("db", "db", ("api", 5433)))
    site.until(at)
    answer = site.server.get("/api/v1/enforcement/plan", node="node-b")
    assert answer.status_code == 200, answer.text
    plan = answer.json()
    side = next(s for s in plan["sides"] if (s["name"], s["direction"]) == ("db", "ingress"))
    assert side["peers"][0] == {
        "peers": ["shop/api"],
        "clauses": [
            {"what": "TCP 5433", "allowed": True, "reason": "NetworkPolicy shop/db ingress[0]"},
            {"what": "everything else", "allowed": False, "reason": "NetworkPolicy shop/db ingress isolation"},
        ],
    }
    assert side["peers"][-1]["peers"] == ["everybody else"]
    assert plan["difference"]["gone"] == [
        "shop/db ingress enforce from shop/api: TCP 5432 allowed by NetworkPolicy shop/db ingress[0]"
    ]
    assert plan["difference"]["come"] == [
        "shop/db ingress enforce from shop/api: TCP 5433 allowed by NetworkPolicy shop/db ingress[0]"
    ]
    assert plan["realised_version"] < plan["version"]
    site.put(policy("db", "db"), kind="DELETED")


def test_postures(site: Site) -> None:
    try:
        assert site.set("posture", scope="cluster", posture="deny").status_code == 200
        assert site.set("posture", scope="nodes", name="pool=blue", posture="allow").status_code == 200
        answer = site.set("posture", scope="namespace", name="shop", posture="allow")
        assert answer.json()["postures"] == [
            {"scope": "cluster", "name": None, "posture": "deny"},
            {"scope": "namespace", "name": "shop", "posture": "allow"},
            {"scope": "nodes", "name": "pool=blue", "posture": "allow"},
        ]
        file = json.loads((site.server.data / "enforcement.json").read_text())
        assert file["posture"] == {"cluster": "deny", "namespaces": {"shop": "allow"}, "nodes": {"pool=blue": "allow"}}
    finally:
        for scope, name in (("cluster", None), ("nodes", "pool=blue"), ("namespace", "shop")):
            assert site.set("posture", scope=scope, name=name, posture=None).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "parameter", "detail"),
    [
        ("namespaces/shpo", {"mode": "audit"}, "namespace", "did you mean shop?"),
        ("namespaces/shop", {"mode": "on"}, "mode", "mode"),
        ("namespaces/shop", {"mode": "audit", "nodes": ["node-c"]}, "nodes", "no node 'node-c'"),
        ("namespaces/shop", {"mode": "audit", "nodes": []}, "nodes", "leave it out"),
        ("namespaces/shop", {"mode": "audit", "node": "node-a"}, "node", "extra"),
        ("posture", {"scope": "nodes", "name": "a,,b", "posture": "deny"}, "name", "expected names"),
        ("posture", {"scope": "namespace", "posture": "deny"}, "name", "required"),
        ("posture", {"scope": "cluster", "name": "x", "posture": "deny"}, "name", "leave it out"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    site: Site, path: str, body: dict[str, Any], parameter: str, detail: str
) -> None:
    before = site.status()["settings"]
    answer = site.set(path, **body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["parameter"] == parameter
    assert detail in answer.json()["detail"]
    assert site.status()["settings"] == before


def test_a_bad_policy_is_named_and_the_last_plan_stays(site: Site) -> None:
    site.set("namespaces/shop", mode="enforce")
    had = newest(site, "node-b")
    site.put(policy("db", "db", ("api", 99999)))
    said = eventually("the refusal", lambda: (s := site.status())["trouble"] and s)
    assert said["trouble"]["policy"] == "shop/db"
    assert site.ask("node-b", had).status_code == 204
    site.put(policy("db", "db"), kind="DELETED")
    eventually("the cure", lambda: site.status()["trouble"] is None)


def test_a_restart_knows_settings_and_never_repeats_a_version(site: Site) -> None:
    site.set("namespaces/shop", mode="enforce")
    had = eventually("the plan", lambda: (p := newest(site, "node-b")).pods[0].ingress.mode is Mode.ENFORCE and p)
    site.server.kill()
    site.server.start()
    now = newest(site, "node-b")
    assert now.version > had.version
    assert [(p.name, p.ingress.mode) for p in now.pods] == [(p.name, p.ingress.mode) for p in had.pods]
    assert {m["mode"] for m in site.status()["settings"]["modes"]} == {"enforce"}


def test_the_end_of_the_server_lets_go_of_who_waits(site: Site) -> None:
    had = newest(site, "node-a")
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(site.ask("node-a", had, wait=25).status_code))
    waiting.start()
    time.sleep(0.2)
    began = time.monotonic()
    assert site.server.stop() == 0
    waiting.join(10)
    assert answers == [204]
    assert time.monotonic() - began < 10
    site.server.start()


def test_a_recording_enforces_nothing(tmp_path: Path) -> None:
    from eastwest.api.app import create_app

    paths = create_app().openapi()["paths"]
    assert "/api/v1/enforcement/namespaces/{namespace}" in paths
    assert not [p for p in paths if p.startswith("/api/v1/nodes")], "the agents' door is not part of the API"
