"""The rollout routes over a real driver and real settings; its eyes are scripted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from eastwest.api.app import create_app
from eastwest.api.services import Services
from eastwest.enforce.rollout.driver import Rollouts
from eastwest.enforce.settings import EnforcementSettings
from eastwest.k8s.inventory import Inventory
from eastwest.runtime.topic import Topic
from enforce.rollout.factories_rollout import NODES, broken, held
from enforce.rollout.test_driver import Scripted
from k8s.factories_k8s import added, node
from loops import run_apart

START = {"namespaces": ["shop"], "budget": "1", "hold_s": 10, "patience_s": 60}


class Site:
    """The application, and what a test reaches around it."""

    def __init__(self, data: Path, token: str | None = None) -> None:
        inventory = Inventory()
        inventory.fold([added(node(name, f"10.0.0.{i}"), 1) for i, name in enumerate(NODES)])
        self.eyes = Scripted()
        self.rollouts = Rollouts(data, EnforcementSettings(data), self.eyes, self.eyes.clock)
        services: Any = Services(
            store=None,  # type: ignore[arg-type]  # no route here asks it
            inventory=inventory,
            inventory_source="test",
            clock=lambda: 10**18,
            landed=Topic(),
            started_ns=0,
            last_batch_ns=lambda: None,
            troubles=list,
            metrics=lambda _: (b"", ""),
            bundle=lambda _: b"",
            rollouts=self.rollouts,
            token=token,
        )
        self.app = create_app(services)

    def ask(self, method: str, what: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        async def one() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, f"/api/v1/rollouts{what}", json=body, headers=headers)

        return run_apart(one())

    def post(self, what: str = "", body: Any = None, **headers: str) -> httpx.Response:
        return self.ask("POST", what, body, headers)

    def current(self) -> Any:
        return self.ask("GET", "/current").json()["rollout"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_there_is_none_before_the_first(site: Site) -> None:
    assert site.current() is None
    assert site.post("/current/pause").status_code == 409


def test_start_shows_every_namespace_on_every_node(site: Site) -> None:
    assert site.post(body=START).status_code == 200
    site.rollouts.tick()
    site.rollouts.tick()
    answer = site.current()
    assert (answer["status"], answer["step"], len(answer["steps"])) == ("running", 1, 6)
    assert [s["state"] for s in answer["steps"]] == ["current"] + ["waiting"] * 5
    assert [(c["node"], c["egress"], c["in_force"]) for c in answer["cells"]] == [
        ("node-1", "audit", True), ("node-2", "off", True), ("node-3", "off", True)
    ]  # fmt: skip
    assert [e["text"].split(":")[0] for e in answer["events"]] == ["started", "step 1 of 6", "in force"]


def test_a_stop_names_what_would_have_broken(site: Site) -> None:
    site.post(body=START)
    site.rollouts.tick()
    site.eyes.script = [held(30, flows=(broken(), broken(connections_before=0)))]
    site.rollouts.tick()
    answer = site.current()
    assert answer["status"] == "stopped"
    (stop,) = answer["stops"]
    flow = stop["findings"][0]["flow"]
    assert (flow["src"], flow["dst"], flow["protocol"], flow["dst_port"]) == (
        "shop/ui[Deployment]", "shop/cart[Deployment]", "TCP", 8080
    )  # fmt: skip
    assert flow["seen_connections"] == 7
    assert [f["seen_connections"] for f in answer["not_seen_before"]] == [0]
    assert {c["egress"] for c in answer["cells"]} == {"off"}


def test_pause_resume_abort(site: Site) -> None:
    site.post(body=START)
    assert site.post("/current/pause").json()["status"] == "paused"
    assert site.post("/current/pause").status_code == 409
    assert site.post("/current/resume").json()["status"] == "running"
    assert site.post("/current/abort").json()["status"] == "aborted"
    again = site.post("/current/abort")
    assert (again.status_code, "aborted already" in again.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"namespaces": ["shp"]}, "namespaces"),
        ({"namespaces": []}, "namespaces"),
        ({"budget": "0%"}, "budget"),
        ({"hold_s": -1}, "hold_s"),
        ({"to": "off"}, "to"),
        ({"stages": [{"name": "a", "nodes": ["node-9"]}]}, "stages"),
        ({"limit": 3}, "limit"),
    ],
)
def test_what_cannot_be_done_names_the_parameter(site: Site, change: dict[str, Any], parameter: str) -> None:
    answer = site.post(body={**START, **change})
    assert answer.status_code == 400
    assert answer.json()["parameter"] == parameter
    assert site.current() is None


def test_one_at_a_time(site: Site) -> None:
    site.post(body=START)
    second = site.post(body=START)
    assert (second.status_code, "eastwest rollout abort" in second.json()["detail"]) == (409, True)


def test_only_who_may(tmp_path: Path, site: Site) -> None:
    assert site.post(body=START, Origin="http://evil.example").status_code == 403
    assert site.post(body=START, Origin="http://localhost").status_code == 200
    closed = Site(tmp_path / "other", token="secret")
    assert closed.post(body=START).status_code == 401
    assert closed.post(body=START, Authorization="Bearer secret").status_code == 200
