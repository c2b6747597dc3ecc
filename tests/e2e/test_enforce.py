"""Enforcement from a policy object to the packet: one lab, one server, enforcing agents; every cell on the wire is what the
engine says, in every mode, while the server is away, and after an agent was killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any, Final

import pytest

from eastwest.cli._enforced import InForce
from eastwest.cli._stack import Plan, Stack
from eastwest.k8s.inventory import Inventory
from eastwest.k8s.sources import WatchLogSource
from eastwest.model.cluster import ClusterState
from eastwest.model.flow import protocol_number
from eastwest.model.plan import Posture
from eastwest.policy import Engine, Options
from eastwest.policy.posture import Postures
from eastwest.runtime.paths import run_dir

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

NAME: Final = "e2e-enforce"
PODS: Final = ("x/a", "x/b", "y/a", "y/b")
CELLS: Final = tuple(
    (src, dst, port, protocol, family)
    for src in PODS
    for dst in PODS
    if src != dst
    for port in (80, 81)
    for protocol in ("TCP", "UDP")
    for family in (4, 6)
)
Json = dict[str, Any]


def pod(name: str) -> Json:
    space, _, short = name.partition("/")
    ports = [{"containerPort": n, "protocol": p} for n in (80, 81) for p in ("TCP", "UDP")]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": short, "namespace": space, "labels": {"pod": short}},
        "spec": {"containers": [{"name": "serve", "image": "serve", "ports": ports}]},
    }


def policy(name: str, kinds: list[str], selects: Json, **rules: list[Json]) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "x"},
        "spec": {"podSelector": selects, "policyTypes": kinds, **rules},
    }


DENY = policy("deny", ["Ingress", "Egress"], {})
FROM_Y = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "y"}}, "podSelector": {}}
ALLOW = policy(
    "allow",
    ["Ingress", "Egress"],
    {"matchLabels": {"pod": "a"}},
    ingress=[{"from": [FROM_Y], "ports": [{"port": 80}]}, {"from": [{"podSelector": {}}], "ports": [{"port": 81}]}],
    egress=[{"to": [{"podSelector": {}}]}],
)
OUT = policy(
    "out",
    ["Egress"],
    {"matchLabels": {"pod": "b"}},
    egress=[{"to": [{"podSelector": {"matchLabels": {"pod": "a"}}}], "ports": [{"port": 81, "protocol": "UDP"}]}],
)
WIDER = policy("out", ["Egress"], {"matchLabels": {"pod": "b"}}, egress=[{}])


class Site:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.in_force = InForce(stack)
        assert stack.lab is not None
        self.lab = stack.lab

    def state(self) -> ClusterState:
        inventory = Inventory([WatchLogSource(run_dir() / "lab" / NAME / "watch.jsonl")])
        inventory.poll()
        return inventory.present().state

    def engine(self, postures: Postures | None = None, *, policies: bool = True) -> Engine:
        state = self.state()
        if not policies:
            state = ClusterState(state.namespaces, state.nodes, state.pods, state.services)
        return Engine(state, Options(posture=postures or Postures()))

    def wrong(self, engine: Engine) -> list[str]:
        """The cells where wire and engine differ; one that should pass is asked again, for a probe can be lost."""
        found = self._wrong(engine, CELLS)
        return self._wrong(engine, [cell for cell, _ in found]) and [
            text for _, text in self._wrong(engine, [cell for cell, _ in found])
        ]

    def _wrong(self, engine: Engine, cells: Any) -> list[tuple[Any, str]]:
        out = []
        for cell, result in zip(cells, self.lab.probe_many(cells, timeout=0.6), strict=True):
            src, dst, port, protocol, family = cell
            ends = [engine.ends.pod(*name.split("/")) for name in (src, dst)]
            verdict = engine.decide(ends[0], ends[1], protocol_number(protocol), port, family)
            if verdict.allowed is not result.reachable:
                out.append((cell, f"{cell}: wire {result.reachable}, engine {verdict.allowed}: {verdict.reason}"))
        return out

    def change(self, *objects: Json) -> None:
        self.lab.apply_objects(list(objects))
        self.in_force(self.newest())

    def newest(self) -> int:
        """The time of the newest event in the watch log."""
        inventory = Inventory([WatchLogSource(run_dir() / "lab" / NAME / "watch.jsonl")])
        inventory.poll()
        return inventory.latest_ns

    def set(self, path: str, **body: Any) -> Json:
        before = self.stack.get("/api/v1/enforcement")
        self.stack.put(f"/api/v1/enforcement/{path}", **body)
        self.stack.wait_for(
            "the settings to be compiled",
            lambda: self.stack.get("/api/v1/enforcement")["compiled_ns"] != before["compiled_ns"],
            10,
        )
        self.in_force(self.newest())
        found = self.stack.get("/api/v1/enforcement")
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Stack(Plan([], name=NAME, nodes=2, listen="127.0.0.1:0", enforce=True)) as stack:
        found = Site(stack)
        spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in ("x", "y")]
        found.lab.apply_objects([*spaces, *map(pod, PODS)])
        assert len({p.node for p in found.state().pods if p.namespace in ("x", "y")}) == 2
        found.change(DENY, ALLOW, OUT)
        yield found


def test_off_and_audit_let_everything_pass_and_enforce_is_the_engine(site: Site) -> None:
    everything = site.engine(policies=False)
    assert site.wrong(everything) == [], "off"
    site.set("namespaces/x", mode="audit")
    assert site.wrong(everything) == [], "audit"
    said = site.set("namespaces/x", mode="enforce")
    engine = site.engine()
    assert site.wrong(engine) == []
    verdicts = [site_allows(engine, cell) for cell in CELLS]
    assert 0 < sum(verdicts) < len(verdicts)
    texts = {p["policy"]: p["text"] for p in said["policies"]}
    assert texts == {
        "x/deny": "in force on 2 of 2 pods",
        "x/allow": "in force on 1 of 1 pods",
        "x/out": "in force on 1 of 1 pods",
    }
    assert {n["node"] for n in said["nodes"]} == {n.name for n in site.lab.nodes}


def site_allows(engine: Engine, cell: tuple[str, str, int, str, int]) -> bool:
    src, dst, port, protocol, family = cell
    ends = [engine.ends.pod(*name.split("/")) for name in (src, dst)]
    return engine.decide(ends[0], ends[1], protocol_number(protocol), port, family).allowed


def test_one_direction_on_its_own(site: Site) -> None:
    site.set("namespaces/x", mode="off", direction="egress")
    state = site.state()
    ingress_only = tuple(
        type(p)(p.namespace, p.name, p.pod_selector, tuple(t for t in p.policy_types if t == "Ingress"), p.ingress)
        for p in state.network_policies
        if "Ingress" in p.policy_types
    )
    half = ClusterState(state.namespaces, state.nodes, state.pods, state.services, ingress_only)
    assert site.wrong(Engine(half)) == []
    site.set("namespaces/x", mode="enforce")
    assert site.wrong(site.engine()) == []


def test_a_policy_comes_and_goes(site: Site) -> None:
    site.change(WIDER)
    assert site.wrong(site.engine()) == []
    site.change(OUT)
    assert site.wrong(site.engine()) == []


def test_a_denying_posture(site: Site) -> None:
    postures = Postures(namespaces=(("y", Posture.DENY),))
    site.set("namespaces/y", mode="enforce")
    site.set("posture", scope="namespace", name="y", posture="deny")
    assert site.wrong(site.engine(postures)) == []
    site.set("posture", scope="namespace", name="y", posture=None)
    site.set("namespaces/y", mode="off")
    assert site.wrong(site.engine()) == []


def test_it_holds_without_the_server_and_without_an_agent(site: Site) -> None:
    engine = site.engine()
    assert site.stack.server is not None
    site.stack.server.signal(signal.SIGKILL)
    site.stack.server.stop()
    assert site.wrong(engine) == [], "server away"
    for node, agent in site.stack.agents.items():
        agent.signal(signal.SIGKILL)
        agent.stop()
        assert site.wrong(engine) == [], f"the agent of {node} is dead"
        site.stack.start_agent(node)
    assert site.wrong(engine) == [], "agents restarted, server away"
    site.stack.start_server()
    site.in_force(site.newest())
    assert site.wrong(engine) == [], "server back"
    site.change(WIDER)
    assert site.wrong(site.engine()) == []
