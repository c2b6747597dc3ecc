"""The planner: every change becomes new plans exactly for the nodes it concerns, bad ones change nothing, bursts become
few plans, and versions are never used twice."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from eastwest.enforce.offers import Have, Offers
from eastwest.enforce.planner import Planner
from eastwest.enforce.realised import InForce, Register
from eastwest.enforce.settings import EnforcementSettings
from eastwest.enforce.status import status
from eastwest.enforce.versions import RESERVED, Versions
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode, NodePlan, Posture
from eastwest.model.realised import Realised, RealisedPod, RefusedPlan
from eastwest.wire.plan_delta import read
from enforce.factories_cluster import Edited, pod, policy, shop
from loops import run_apart

DEADLINE_S = 10.0


def planner(data: Path, edited: Edited) -> Planner:
    return Planner(edited.inventory, EnforcementSettings(data), Versions(data), clock=lambda: edited.now_ns)


def versions(found: Planner) -> dict[str, int]:
    assert found.planned is not None
    return {node: plan.version for node, plan in found.planned.plans.items()}


def realised(plan: NodePlan, **more: object) -> Realised:
    pods = tuple(RealisedPod(p.uid) for p in plan.pods)
    return Realised(plan.node, plan.version, plan.digest, 2, 7, **({"pods": pods} | more))  # type: ignore[arg-type]


def plan(found: Planner, node: str) -> NodePlan:
    assert found.planned is not None
    return found.planned.plans[node]


def test_a_change_makes_plans_for_the_nodes_it_concerns(tmp_path: Path) -> None:
    edited = Edited(*shop())
    found = planner(tmp_path, edited)
    found.compile()
    before = versions(found)
    assert sorted(before) == ["node-a", "node-b"]
    found.settings.set("shop", Mode.ENFORCE)
    found.compile()
    audited = versions(found)
    assert all(audited[n] > before[n] for n in before)
    at = edited.put(policy("db", "db", ("api", 5432)))
    found.compile()
    after = versions(found)
    assert after["node-b"] > audited["node-b"]
    assert after["node-a"] == audited["node-a"], "nothing of it is on node-a"
    assert found.planned is not None
    assert found.planned.inventory_ns == at


def test_what_changes_no_plan_is_taken_into_account_all_the_same(tmp_path: Path) -> None:
    edited = Edited(*shop())
    found = planner(tmp_path, edited)
    found.compile()
    before = versions(found)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "shop"}, "spec": {}}
    at = edited.put(service)
    found.compile()
    assert found.planned is not None
    assert (versions(found), found.planned.inventory_ns, found.counts.compilations) == (before, at, 1)


def test_versions_grow_across_restarts(tmp_path: Path) -> None:
    first = Versions(tmp_path)
    given = [first.next() for _ in range(RESERVED + 2)]
    assert given == list(range(1, RESERVED + 3))
    assert Versions(tmp_path).next() > given[-1]
    (tmp_path / "plan-versions").write_text("many")
    with pytest.raises(ValueError, match=r"plan-versions: expected a number"):
        Versions(tmp_path)


def test_a_restart_offers_nothing_to_an_agent_that_has_it(tmp_path: Path) -> None:
    edited = Edited(*shop(), policy("db", "db", ("api", 5432)))
    one = planner(tmp_path, edited)
    one.settings.set("shop", Mode.ENFORCE)
    one.compile()
    had = plan(one, "node-b")
    two = planner(tmp_path, edited)
    two.compile()
    now = plan(two, "node-b")
    assert now.version > had.version
    assert two.offers.offer("node-b", Have(had.version, had.digest)) is None
    register = Register(lambda: 5)
    register.tell(realised(had))
    assert register.version(now) == now.version, "the same content is in force"


def test_a_delta_where_the_base_is_known_and_a_snapshot_elsewhere(tmp_path: Path) -> None:
    edited = Edited(*shop(), *(pod(f"p{i}", f"10.0.2.{i}", "node-b") for i in range(10, 60)))
    found = planner(tmp_path, edited)
    found.settings.set("shop", Mode.ENFORCE)
    found.compile()
    old = plan(found, "node-b")
    edited.put(policy("db", "db", ("api", 5432)))
    found.compile()
    new = plan(found, "node-b")
    offer = found.offers.offer("node-b", Have(old.version, old.digest))
    assert offer is not None
    assert offer.kind == "delta"
    assert read(offer.body, old).digest == new.digest
    for have in (None, Have(old.version, "0" * 32), Have(999, old.digest + "x")):
        whole = found.offers.offer("node-b", have)
        assert whole is not None
        assert whole.kind == "snapshot"
        assert read(whole.body, None).digest == new.digest
    assert found.offers.offer("node-c", None) is None
    assert Offers().newest("node-a") is None


@pytest.mark.parametrize("text", ["", "12", "x:y", "12:", ":abc"])
def test_a_have_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="VERSION:DIGEST"):
        Have.parse(text)


def test_a_posture_reaches_the_engine(tmp_path: Path) -> None:
    found = planner(tmp_path, Edited(*shop()))
    found.settings.set("shop", Mode.ENFORCE)
    found.settings.set_posture(lambda p: p.with_nodes("pool=blue", Posture.DENY))
    found.compile()
    assert plan(found, "node-a").posture is Posture.DENY
    assert {r.tier for r in plan(found, "node-a").reasons} == {"", "Posture"}
    assert {r.tier for r in plan(found, "node-b").reasons} == {"", "Default"}


def test_a_burst_of_edits_becomes_few_plans_and_the_last_one_counts(tmp_path: Path) -> None:
    edited = Edited(*shop())
    found = planner(tmp_path, edited)
    found.settings.set("shop", Mode.ENFORCE)
    done = threading.Event()
    found.start()
    try:
        for port in range(1, 401):
            edited.put(policy("db", "db", ("api", port)))
            found.wake()
        until(lambda: found.planned is not None and found.planned.inventory_ns == edited.now_ns)
    finally:
        found.stop()
        done.set()
    assert found.counts.compilations < 400
    assert 400 in plan(found, "node-b").ports["port"]
    assert found.trouble is None


def test_who_waits_is_woken(tmp_path: Path) -> None:
    edited = Edited(*shop())
    found = planner(tmp_path, edited)
    found.start()

    async def wait() -> frozenset[str] | None:
        async with found.news.subscribe() as news:
            found.settings.set("shop", Mode.AUDIT)
            return await asyncio.wait_for(news.get(), DEADLINE_S)

    try:
        assert run_apart(wait()) == {"node-a", "node-b"}
    finally:
        found.stop()


def until(condition: object) -> None:
    waited = threading.Event()
    for _ in range(int(DEADLINE_S / 0.01)):
        if condition():  # type: ignore[operator]
            return
        waited.wait(0.01)
    raise AssertionError("it did not happen in time")


# --- what agents tell ------------------------------------------------------------------------------------------------


def test_status_says_where_a_policy_is_in_force_and_what_it_waits_for(tmp_path: Path) -> None:
    edited = Edited(*shop(), policy("all", None, ("web", 80)))
    found, register = planner(tmp_path, edited), Register(lambda: 9)
    found.settings.set("shop", Mode.ENFORCE)
    found.compile()

    def text() -> str:
        (one,) = status(found, register).policies
        return one.text

    assert text() == "in force on 0 of 3 pods; waiting for node-a, node-b"
    register.tell(realised(plan(found, "node-a")))
    assert text() == "in force on 1 of 3 pods; waiting for node-b"
    why = "the hook of its interface was refused"
    pods = (RealisedPod("uid-api"), RealisedPod("uid-db", ingress=why))
    register.tell(realised(plan(found, "node-b"), pods=pods))
    assert text() == "in force on 2 of 3 pods; waiting for node-b"
    nodes = {n.node: n for n in status(found, register).nodes}
    assert [(w.name, w.direction, w.reason) for w in nodes["node-b"].missing] == [("db", Direction.INGRESS, why)]
    assert nodes["node-b"].version == nodes["node-b"].realised_version
    register.tell(realised(plan(found, "node-b")))
    assert text() == "in force on 3 of 3 pods"
    edited.put(policy("other", "db", ("api", 1)))
    found.compile()
    texts = {p.policy: p.text for p in status(found, register).policies}
    assert texts == {
        "shop/all": "in force on 3 of 3 pods",
        "shop/other": "in force on 0 of 1 pods; waiting for node-b",
    }, "a policy that did not change stays in force while another one waits"


def test_status_of_what_is_off(tmp_path: Path) -> None:
    found, register = planner(tmp_path, Edited(*shop(), policy("all", None))), Register(lambda: 9)
    found.compile()
    said = status(found, register)
    assert [p.text for p in said.policies] == ["not in force: the mode of its pods is off"]
    assert {(n.namespace, n.mode, n.in_force) for n in said.namespaces} == {("shop", Mode.OFF, None)}


def test_a_rollout_hears_why_a_node_is_not_there_yet(tmp_path: Path) -> None:
    edited = Edited(*shop(), policy("all", None))
    found, register = planner(tmp_path, edited), Register(lambda: 9)
    asked = InForce(found, register)
    assert asked.unrealised("node-a") == "the settings are not compiled yet"
    found.compile()
    assert asked.unrealised("node-a") == "its agent has not told of any plan"
    register.tell(realised(plan(found, "node-a")))
    assert asked.unrealised("node-a") is None
    found.settings.set("shop", Mode.ENFORCE)
    assert asked.unrealised("node-a") == "the settings are not compiled yet"
    found.compile()
    newest = plan(found, "node-a")
    assert "is not in force there yet" in (asked.unrealised("node-a") or "")
    refused = RefusedPlan(newest.version, newest.digest, "cells: 9 are needed, 8 fit")
    register.tell(Realised("node-a", 1, "old", 2, 7, refused=refused))
    assert asked.unrealised("node-a") == f"plan {newest.version} was refused there: cells: 9 are needed, 8 fit"
    register.tell(realised(newest, pods=()))
    assert asked.unrealised("node-a") == "its agent does not know the pod yet"
    register.tell(realised(newest))
    assert asked.unrealised("node-a") is None
    assert asked.unrealised("node-z") == "the cluster has no such node"
