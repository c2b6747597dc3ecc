"""What cannot be put in force holds those whom it concerns at the policies of before, and nobody else: read from the plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eastwest.enforce.planner import Planner
from eastwest.enforce.realised import InForce, Register
from eastwest.enforce.settings import EnforcementSettings
from eastwest.enforce.status import status
from eastwest.enforce.versions import Versions
from eastwest.model.flow import Direction
from eastwest.model.plan import Limits, Mode, Ruling
from enforce.factories_cluster import Edited, namespace, node, pod, policy
from enforce.interpreter import Interpreter

Json = dict[str, Any]
IN = Direction.INGRESS
BROKEN = policy("db", "db", ("api", 99999))


def domains(app: str) -> Json:
    subject = {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": app}}}}
    rules = [{"action": "Accept", "to": [{"domainNames": ["*.example.org"]}]}]
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "out"},
        "spec": {"tier": "Admin", "priority": 1, "subject": subject, "egress": rules},
    }


class Cluster:
    """Two namespaces on two nodes, everything enforced."""

    def __init__(self, data: Path, *more: Json) -> None:
        self.data = data
        self.edited = Edited(
            namespace("shop"), namespace("bank"), node("node-a", "192.0.2.1"), node("node-b", "192.0.2.2"),
            pod("web", "10.0.1.1", "node-a"), pod("api", "10.0.1.2", "node-a"), pod("db", "10.0.1.3", "node-a"),
            pod("till", "10.0.2.1", "node-b", space="bank"), pod("safe", "10.0.2.2", "node-b", space="bank"), *more,
        )  # fmt: skip
        self.register = Register(lambda: 9)
        self.begin()

    def begin(self) -> None:
        """The server starts, or starts again."""
        settings = EnforcementSettings(self.data)
        if not settings.snapshot().modes:
            settings.set("*", Mode.ENFORCE)
        self.planner = Planner(self.edited.inventory, settings, Versions(self.data), clock=lambda: self.edited.now_ns)
        self.planner.compile()

    def put(self, *objects: Json) -> None:
        for item in objects:
            self.edited.put(item)
        self.planner.compile()

    def remove(self, *objects: Json) -> None:
        for item in objects:
            self.edited.remove(item)
        self.planner.compile()

    def open(self, space: str, name: str, peer: str, port: int) -> bool:
        """Whether ingress of a pod lets an address in."""
        assert self.planner.planned is not None
        for plan in self.planner.planned.plans.values():
            reader = Interpreter(plan)
            if (space, name) in reader.pods:
                return reader.decide((space, name), IN, peer, 6, port).ruling is Ruling.ALLOW
        raise AssertionError(f"no plan has {space}/{name}")


WEB, API, TILL = "10.0.1.1", "10.0.1.2", "10.0.2.1"


def test_a_broken_policy_holds_its_namespace_and_nobody_else(tmp_path: Path) -> None:
    found = Cluster(tmp_path, policy("db", "db", ("api", 5432)))
    found.put(BROKEN, policy("web", "web"), policy("safe", "safe", ("till", 9), space="bank"))
    assert found.open("shop", "db", API, 5432), "what was open stays open"
    assert not found.open("shop", "db", WEB, 5432), "what was closed stays closed"
    assert found.open("shop", "web", API, 80), "no half of a change is in force in the namespace"
    assert found.open("bank", "safe", TILL, 9)
    assert not found.open("bank", "safe", TILL, 10), "another namespace follows the cluster"
    said = status(found.planner, found.register)
    assert said.trouble is not None
    assert said.trouble.policy == "shop/db"
    assert [(h.policy, h.pods, h.nodes) for h in said.held_back] == [("shop/db", 3, ())]
    texts = {p.policy: p.text for p in said.policies}
    assert texts["shop/web"] == "not in force; 1 pods keep earlier policies"
    assert texts["shop/db"].startswith("an earlier state of it is in force on 0 of 1 pods")
    assert texts["bank/safe"].startswith("in force on 0 of 1 pods")
    found.put(policy("db", "db", ("api", 5433)))
    assert found.planner.trouble is None
    assert (found.open("shop", "db", API, 5432), found.open("shop", "db", API, 5433)) == (False, True)
    assert not found.open("shop", "web", API, 80)


def test_policies_are_kept_and_not_addresses(tmp_path: Path) -> None:
    found = Cluster(tmp_path, policy("db", "db", ("api", 5432)))
    found.put(BROKEN)
    found.remove(pod("api", API, "node-a"))
    found.put(pod("stranger", API, "node-a"))
    assert not found.open("shop", "db", API, 5432), "a reused address inherits nothing"
    found.put(
        {**pod("api", "10.0.1.9", "node-a"), "metadata": {**pod("api", "10.0.1.9", "node-a")["metadata"], "uid": "u2"}}
    )
    assert found.open("shop", "db", "10.0.1.9", 5432), "a new replica has what its like have"
    second = pod("db2", "10.0.1.10", "node-a")
    second["metadata"]["labels"] = {"app": "db"}
    found.put(second)
    assert not found.open("shop", "db2", WEB, 5432), "a new pod of the held policy is isolated as its like are"


def test_domain_names_hold_the_pods_that_they_select(tmp_path: Path) -> None:
    found = Cluster(tmp_path)
    found.put(domains("db"), policy("db", "db"), policy("web", "web"))
    assert found.open("shop", "db", WEB, 1), "db keeps what it had: nothing"
    assert not found.open("shop", "web", API, 1), "its neighbour in the namespace follows the cluster"
    assert [(h.policy, h.pods) for h in status(found.planner, found.register).held_back] == [("out", 1)]


def test_a_rename_to_something_broken_opens_nothing(tmp_path: Path) -> None:
    found = Cluster(tmp_path, policy("db", "db", ("api", 5432)))
    found.edited.remove(policy("db", "db"))
    found.put({**BROKEN, "metadata": {"name": "db-v2", "namespace": "shop"}})
    assert not found.open("shop", "db", WEB, 5432)
    assert found.open("shop", "db", API, 5432)


def test_after_a_restart_only_nodes_that_it_concerns_keep_their_last_plan(tmp_path: Path) -> None:
    found = Cluster(tmp_path, policy("db", "db", ("api", 5432)))
    found.put(BROKEN)
    found.begin()
    found.put(policy("safe", "safe", ("till", 9), space="bank"))
    assert not found.open("bank", "safe", TILL, 10), "node-b is planned"
    assert found.planner.planned is not None
    assert found.planner.offers.newest("node-a") is None, (
        "the agent of node-a is offered nothing, so it keeps what it has"
    )
    said = status(found.planner, found.register)
    assert [(h.policy, h.nodes) for h in said.held_back] == [("shop/db", ("node-a",))]
    (kept,) = [n for n in said.nodes if n.node == "node-a"]
    assert "keeps its last plan" in (kept.reason or "")
    asked = InForce(found.planner, found.register)
    assert "keeps its last plan" in (asked.unrealised("node-a") or "")
    found.put(policy("db", "db", ("api", 5432)))
    assert found.open("shop", "db", API, 5432)
    assert found.planner.trouble is None


def many(count: int) -> Json:
    return policy("db", "db", *(("api", 2 * n + 1) for n in range(1, count)))


def test_a_node_whose_tables_are_too_small_is_named_and_others_go_on(tmp_path: Path) -> None:
    """The agent tells its limits; they are checked against, and only its own pods keep the policies of before."""
    found = Cluster(tmp_path, policy("db", "db", ("api", 5432)))
    found.planner.capacity("node-a", Limits(ports=50))
    found.put(many(100), policy("safe", "safe", ("till", 9), space="bank"))
    assert found.planner.trouble is not None
    for part in ("node node-a", "ports are needed, 50 fit", "shop/db alone needs"):
        assert part in found.planner.trouble.message
    assert found.planner.trouble.policy == "shop/db"
    assert found.open("shop", "db", API, 5432)
    assert not found.open("shop", "db", API, 3)
    assert not found.open("bank", "safe", TILL, 10)
    found.planner.capacity("node-a", Limits(ports=5000))
    found.planner.compile()
    assert found.planner.trouble is None, "a larger table is told, and the plan is made"
    assert found.open("shop", "db", API, 3)
    found.planner.capacity("node-a", Limits(ports=1))
    before = found.planner.offers.newest("node-a")
    found.put(policy("web", "web", ("api", 80)))
    assert found.planner.planned is not None
    assert found.planner.planned.plans["node-a"] is before, "what fits in no way keeps the node's last plan"
    assert "node-a" in found.planner.planned.frozen


@pytest.mark.parametrize("bad", [BROKEN, domains("db")], ids=["broken", "domains"])
def test_what_comes_and_goes_leaves_the_plans_as_if_it_had_never_been(tmp_path: Path, bad: Json) -> None:
    found = Cluster(tmp_path, policy("api", "api", ("web", 80)))

    def digests() -> dict[str, str]:
        assert found.planner.planned is not None
        return {n: p.digest for n, p in found.planner.planned.plans.items()}

    before = digests()
    found.put(bad)
    assert digests() == before
    found.remove(bad)
    assert digests() == before
    assert found.planner.trouble is None
