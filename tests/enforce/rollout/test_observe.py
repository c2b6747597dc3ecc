"""What a look finds, in the real store and the real inventory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from eastwest.enforce.rollout import machine
from eastwest.enforce.rollout.gates import Unready
from eastwest.enforce.rollout.machine import State
from eastwest.enforce.rollout.observe import Observer, watched
from eastwest.k8s.inventory import Inventory
from eastwest.k8s.raw import RawObject
from eastwest.k8s.sources import Event
from eastwest.query.coverage.node import Node
from eastwest.store.clickhouse import ClickHouseStore
from eastwest.store.parts import cut
from enforce.rollout.factories_rollout import HOLD, SECOND, request, settings
from k8s.factories_k8s import added, modified, node, raw
from k8s.factories_k8s import pod as pod_object
from store.conftest import engine, store  # noqa: F401 - fixtures
from store.factories_flows import MINUTE, NOON, pod, receipt, record, table

NOON_S = NOON // SECOND
UI = pod("src", "shop", "ui", ip="10.0.0.1", workload_kind="Pod", pod="ui")
CART = pod("dst", "shop", "cart", ip="10.0.1.1", node="node-b", workload_kind="Pod", pod="cart")
POLICY = raw(
    "NetworkPolicy", "nobody", spec={"podSelector": {"matchLabels": {"app": "cart"}}, "policyTypes": ["Ingress"]}
)


@dataclass
class Nodes:
    late: dict[str, str] = field(default_factory=dict)

    def unrealised(self, name: str) -> str | None:
        return self.late.get(name)


def running(name: str, ip: str, on: str, ready: bool | None = True, **metadata: Any) -> RawObject:
    made = pod_object(name, ip, labels={"app": name}, **metadata)
    made.body["spec"]["nodeName"] = on
    if ready is not None:
        made.body["status"]["conditions"] = [{"type": "Ready", "status": str(ready)}]
    return made


def cluster(*more: Event) -> Inventory:
    policy = RawObject({**POLICY.body, "apiVersion": "networking.k8s.io/v1"}, "test", 1)
    start = [raw("Namespace", "shop", ""), node("node-a", "10.1.0.1"), node("node-b", "10.1.0.2"), policy]
    start += [running("ui", "10.0.0.1", "node-a"), running("cart", "10.0.1.1", "node-b")]
    made = Inventory()
    made.fold([*(added(o, NOON_S - 3600) for o in start), *more])
    return made


def stepped(number: int = 1) -> State:
    """A rollout with steps applied at noon, and in force a second later."""
    going = machine.begin("r1", request(patience_ns=MINUTE), ("node-a", "node-b"), settings({}), NOON - 1)
    return replace(going, applied=number, step_ns=NOON, realised_ns=NOON + SECOND)


def look(store: ClickHouseStore, inventory: Inventory, state: State, at_ns: int, **late: str) -> Any:  # noqa: F811
    return Observer(store, inventory, Nodes(late), lambda: at_ns).observe(state)


def test_a_broken_flow_comes_with_the_rule_that_is_missing(store: ClickHouseStore) -> None:  # noqa: F811
    by = "NetworkPolicy shop/nobody ingress isolation"
    ruled = {"policy_would_deny": 3, "denied_by": by}
    rows = [
        record(UI, CART, at=NOON - MINUTE),
        record(UI, CART, at=NOON + SECOND, reporter="server", node="node-b", **ruled),
    ]
    for part in cut("b", table(*rows), []):
        store.insert(part)
    found = look(store, cluster(), stepped(2), NOON + MINUTE)
    (flow,) = found.flows
    assert (flow.src, flow.dst, flow.seen_connections, flow.reason) == ("shop/ui[Pod]", "shop/cart[Pod]", 1, by)
    assert flow.cells == (("shop", "node-b"),)
    missing = yaml.safe_load(flow.missing)
    assert missing["spec"]["podSelector"] == {"matchLabels": {"app": "cart"}}
    (rule,) = missing["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app": "ui"}}}]
    assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}]
    stopped = machine.advance(stepped(2), found)
    assert stopped.status is machine.Status.STOPPED


def test_time_is_watched_only_while_every_node_of_the_step_is_heard(store: ClickHouseStore) -> None:  # noqa: F811
    def heard(name: str, *starts_s: int) -> None:
        for seq, start in enumerate(starts_s):
            for part in cut(f"{name}{seq}", table(), [receipt(seq, at=NOON + start * SECOND, node=name)]):
                store.insert(part)

    inventory = cluster()
    heard("node-a", *range(-10, 30, 5))
    assert look(store, inventory, stepped(1), NOON + 30 * SECOND).watched_ns == 29 * SECOND
    heard("node-b", *range(-10, 10, 5), 20, 25)
    assert look(store, inventory, stepped(1), NOON + 30 * SECOND).watched_ns == 29 * SECOND, "node-b has no step yet"
    both = look(store, inventory, stepped(2), NOON + 30 * SECOND)
    assert both.watched_ns == 19 * SECOND, "10 s of node-b are missing"
    assert {n.node: n.ratio for n in both.nodes} == {"node-a": 1.0, "node-b": 1.0}
    assert both.watched_ns > HOLD


def test_pods_that_were_ready_before_the_step(store: ClickHouseStore) -> None:  # noqa: F811
    failing = modified(running("cart", "10.0.1.1", "node-b", ready=False), NOON_S + 5)
    inventory = cluster(failing, added(running("new", "10.0.1.9", "node-b", ready=False), NOON_S + 10))
    assert look(store, inventory, stepped(1), NOON + 20 * SECOND).unready == (), "node-b has no step yet"
    first = look(store, inventory, stepped(2), NOON + 20 * SECOND)
    assert first.unready == (Unready("shop", "cart", "node-b"),)
    later = look(store, inventory, stepped(2), NOON + 80 * SECOND)
    assert later.unready == (Unready("shop", "cart", "node-b"), Unready("shop", "new", "node-b", new=True))


def test_nodes_that_are_late_are_named_those_of_the_step_only(store: ClickHouseStore) -> None:  # noqa: F811
    late = {"node-a": "2 of 3 pods", "node-b": "no plan yet"}
    found = Observer(store, cluster(), Nodes(late), lambda: NOON + SECOND).observe(stepped(1))
    assert found.unrealised == (("node-a", "2 of 3 pods"),)
    assert machine.advance(replace(stepped(1), realised_ns=None), found).realised_ns is None


def test_what_an_agent_took_with_it_is_no_finding_and_other_losses_are() -> None:
    """Declared with its end, and its windows are a gap in what was watched; a full map or nothing declared is a finding."""

    def ratio(cause: str | None) -> float | None:
        lost = {} if cause is None else {cause: {"bytes": 147, "packets": 1}}
        return watched("node-a", Node("node-a", "reporting", 5, hook_bytes=1000, recorded_bytes=853, lost=lost)).ratio

    assert ratio("agent_ended") == 1.0
    assert ratio("flow_map_full") == 0.853
    assert ratio(None) == 0.853
    gone = {"agent_ended": {"bytes": 1000, "packets": 9}}
    assert watched("node-a", Node("node-a", "reporting", 5, hook_bytes=1000, recorded_bytes=0, lost=gone)).ratio is None
