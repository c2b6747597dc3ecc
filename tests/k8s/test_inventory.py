"""Events to intervals: who held an address when, and what the cluster was at a moment."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.k8s.inventory import Inventory
from eastwest.k8s.ipindex import AMBIGUOUS, FOREVER, GRACE_NS, NOBODY, Claim, IpIndex
from eastwest.k8s.raw import RawObject
from eastwest.k8s.sources import Event, EventType
from eastwest.model.flow import EndKind, Workload, ip_bytes
from k8s.factories_k8s import SECOND, added, addresses, deleted, modified, node, ns, pod, raw, service


def inventory(*events: Event) -> Inventory:
    made = Inventory()
    made.fold(events)
    return made


def who(made: Inventory, ip: str, first_s: float, last_s: float | None = None) -> str | int:
    """The pod (or node) that held `ip`, or NOBODY or AMBIGUOUS."""
    naming = made.naming()
    (found,) = naming.resolve(addresses(ip), ns(first_s), ns(first_s if last_s is None else last_s))
    if found < 0:
        return int(found)
    end = naming.ends[found]
    return end.pod or end.node or ""


def test_an_address_reused_one_second_later_names_both_rightly() -> None:
    made = inventory(
        added(pod("a", "10.0.0.1"), 100), deleted(pod("a", "10.0.0.1"), 200), added(pod("b", "10.0.0.1"), 201)
    )
    assert who(made, "10.0.0.1", 150, 199.9) == "a"
    assert who(made, "10.0.0.1", 201, 260) == "b"
    assert who(made, "10.0.0.1", 150, 250) == AMBIGUOUS
    assert who(made, "10.0.0.1", 199, 200.5) == AMBIGUOUS  # sticks out of a's life, b is near
    assert who(made, "10.0.0.1", 200.5) == AMBIGUOUS
    assert who(made, "10.0.0.1", 50, 60) == NOBODY
    assert who(made, "10.0.0.2", 150) == NOBODY


def test_a_pod_talks_before_its_address_is_reported() -> None:
    made = inventory(added(pod("a", "10.0.0.1"), 100), deleted(pod("a", "10.0.0.1"), 200))
    assert who(made, "10.0.0.1", 99, 150) == "a"
    assert who(made, "10.0.0.1", 98, 99) == "a"
    assert who(made, "10.0.0.1", 199, 205) == "a"
    assert who(made, "10.0.0.1", 201, 201.5) == "a"
    assert who(made, "10.0.0.1", 300) == NOBODY


def test_a_terminated_pod_releases_its_address() -> None:
    made = inventory(
        added(pod("job", "10.0.0.1"), 100),
        modified(pod("job", "10.0.0.1", phase="Succeeded"), 200),
        added(pod("b", "10.0.0.1"), 210),
        deleted(pod("job", "10.0.0.1", phase="Succeeded"), 300),
    )
    assert who(made, "10.0.0.1", 250) == "b"
    assert who(made, "10.0.0.1", 150) == "job"
    assert [p.name for p in made.state_at(250 * SECOND).pods] == ["b"]


def test_a_late_deletion_does_not_hide_the_new_holder() -> None:
    made = inventory(
        added(pod("a", "10.0.0.1"), 100), added(pod("b", "10.0.0.1"), 200), deleted(pod("a", "10.0.0.1"), 230)
    )
    assert who(made, "10.0.0.1", 210, 220) == "b"
    assert who(made, "10.0.0.1", 120, 180) == "a"


def test_the_same_pod_added_again_is_one_holder() -> None:
    made = inventory(
        added(pod("a", "10.0.0.1"), 100), deleted(pod("a", "10.0.0.1"), 150), added(pod("a", "10.0.0.1"), 150)
    )
    assert who(made, "10.0.0.1", 140, 160) == "a"


def test_two_pods_that_claim_one_address_from_the_same_moment_are_ambiguous() -> None:
    assert who(inventory(added(pod("a", "10.0.0.1"), 1), added(pod("b", "10.0.0.1"), 1)), "10.0.0.1", 5) == AMBIGUOUS


def test_order_of_arrival_does_not_matter() -> None:
    events = [
        added(pod("a", "10.0.0.1"), 100),
        modified(pod("a", "10.0.0.1", "fd00::1"), 120),
        deleted(pod("a", "10.0.0.1"), 200),
        added(pod("b", "10.0.0.1"), 201),
    ]
    for seed in range(20):
        shuffled = events[:]
        random.Random(seed).shuffle(shuffled)
        made = inventory(*shuffled)
        assert [who(made, "10.0.0.1", s) for s in (150, 205)] == ["a", "b"]
        assert who(made, "fd00::1", 150) == "a"
        assert who(made, "fd00::1", 110) == NOBODY


def test_host_network_pods_are_their_node() -> None:
    made = inventory(added(node("n1", "192.168.0.1"), 0), added(pod("proxy", "192.168.0.1", host=True), 1))
    assert who(made, "192.168.0.1", 10) == "n1"
    ends = made.naming().ends
    assert ends[made.naming().pods_by_uid["uid-proxy"]].pod == "proxy"


def test_what_an_end_knows() -> None:
    made = inventory(
        added(node("n1", "192.168.0.1"), 0),
        added(
            pod(
                "ui-1-x", "10.0.0.1",
                labels={"pod-template-hash": "1"},
                ownerReferences=[{"kind": "ReplicaSet", "name": "ui-1", "controller": True}],
            ),
            1,
        ),
    )  # fmt: skip
    end = made.naming().ends[made.naming().pods_by_uid["uid-ui-1-x"]]
    assert (end.kind, end.namespace, end.workload, end.workload_kind) == (EndKind.POD, "shop", "ui", "Deployment")
    assert (end.node, end.zone, end.region) == ("n1", "eu-1a", "eu-1")


def test_owners_may_arrive_after_their_pods() -> None:
    reference = [{"kind": "Thing", "name": "t", "controller": True}]
    made = inventory(added(pod("p", "10.0.0.1", ownerReferences=reference), 1))
    assert made.state_at(FOREVER - 1).pods[0].workload == Workload("shop", "Thing", "t")


def service_of(made: Inventory, ip: str, port: int, at_s: float = 10) -> str | int:
    naming = made.naming()
    (found,) = naming.resolve_service(addresses(ip), np.array([port], np.uint16), ns(at_s), ns(at_s))
    return int(found) if found < 0 else naming.ends[found].service or ""


def test_services_by_address_and_port() -> None:
    made = inventory(
        added(service("a", "10.96.0.1", "fd01::1"), 0),
        added(service("lb1", "10.96.0.2", ports=(80,), externalIPs=["203.0.113.9"]), 0),
        added(service("lb2", "10.96.0.3", ports=(443,), externalIPs=["203.0.113.9"]), 0),
        deleted(service("a", "10.96.0.1"), 100),
    )
    assert service_of(made, "10.96.0.1", 80) == "a"
    assert service_of(made, "fd01::1", 80) == "a"
    assert service_of(made, "10.96.0.1", 9999) == "a"
    assert service_of(made, "10.96.0.1", 80, 200) == NOBODY
    assert service_of(made, "203.0.113.9", 80) == "lb1"
    assert service_of(made, "203.0.113.9", 443) == "lb2"
    assert service_of(made, "203.0.113.9", 22) == NOBODY


def test_state_at_a_moment() -> None:
    made = inventory(
        added(pod("a", "10.0.0.1"), 100),
        added(raw("Service", "s", spec={"ports": [{"port": 1}]}), 150),
        modified(raw("Service", "s", spec={"ports": [{"port": 2}]}), 160),
        deleted(pod("a", "10.0.0.1"), 200),
    )
    assert [len(made.state_at(s * SECOND).pods) for s in (50, 100, 199, 200)] == [0, 1, 1, 0]
    assert [s.ports[0].port for t in (155, 160) for s in made.state_at(t * SECOND).services] == [1, 2]


def test_heartbeats_change_nothing() -> None:
    made = inventory(added(pod("a", "10.0.0.1"), 1))
    beat = pod("a", "10.0.0.1")
    body = {**beat.body, "status": {**beat.body["status"], "conditions": [{"type": "Ready"}]}}
    assert made.fold([modified(type(beat)(body, "test"), 2)]) == 0
    assert made.revision == 1


def test_forgetting_drops_what_ended() -> None:
    made = inventory(added(pod("a", "10.0.0.1"), 1), deleted(pod("a", "10.0.0.1"), 2), added(pod("b", "10.0.0.2"), 1))
    made.forget(50 * SECOND)
    assert who(made, "10.0.0.1", 1.5) == NOBODY
    assert who(made, "10.0.0.2", 1.5) == "b"


def test_versions_of_a_window_come_in_a_stable_order() -> None:
    events = [added(pod(n, f"10.0.0.{i}"), i) for i, n in enumerate("cab", 1)] + [deleted(pod("c", "10.0.0.1"), 20)]
    once = inventory(*events).versions(0, FOREVER)
    again = inventory(*reversed(events)).versions(0, FOREVER)
    assert [(v.raw.name, v.from_ns, v.to_ns) for v in once] == [(v.raw.name, v.from_ns, v.to_ns) for v in again]
    assert [v.raw.name for v in inventory(*events).versions(20 * SECOND, FOREVER)] == ["a", "b"]


TIMES = st.integers(0, 12)


@given(
    st.lists(st.tuples(st.integers(0, 2), TIMES, TIMES, st.integers(0, 3)), max_size=12),
    st.lists(st.tuples(st.integers(0, 3), TIMES, TIMES), min_size=1, max_size=12),
)
def test_the_index_answers_as_a_plain_search_does(
    claims: list[tuple[int, int, int, int]], queries: list[tuple[int, int, int]]
) -> None:
    """Literal reference: all holders that meet the span; a neighbour within the grace where the span sticks out."""
    unit = GRACE_NS  # neighbours one unit away are near, two away are not
    made = [Claim(ip_bytes(f"10.0.0.{ip}"), a * unit, b * unit, owner) for ip, a, b, owner in claims]
    index = IpIndex(made)
    ips = addresses(*(f"10.0.0.{ip}" for ip, _, _ in queries))
    spans = np.array([sorted((a, b)) for _, a, b in queries], np.int64) * unit
    got = index.resolve(ips, spans[:, 0], spans[:, 1])
    for (ip, *_), (first, last), answer in zip(queries, spans, got, strict=True):
        held = _settled([c for c in made if c.ip == ip_bytes(f"10.0.0.{ip}")])
        assert answer == _reference(held, int(first), int(last))


def _settled(claims: list[Claim]) -> list[tuple[int, int, int]]:
    from eastwest.k8s.ipindex import _settle

    settled = _settle(claims)
    for (_, end, _), (start, _, _) in pairwise(settled):
        assert end <= start
    return settled


def _reference(held: list[tuple[int, int, int]], first: int, last: int) -> int:
    meets = [h for h in held if h[0] <= last and first < h[1]]
    if len(meets) > 1:
        return AMBIGUOUS
    near = [h for h in held if h[0] <= last + GRACE_NS and max(first - GRACE_NS, 0) < h[1]]
    if not meets:
        return NOBODY if not near else near[0][2] if len(near) == 1 else AMBIGUOUS
    start, end, owner = meets[0]
    before = [h for h in near if h[1] <= start]
    after = [h for h in near if h[0] >= end]
    if (first < start and before) or (last >= end and after):
        return AMBIGUOUS
    return owner


@pytest.mark.parametrize("count", [0, 20_000])
def test_many_pods_and_rows(count: int) -> None:
    made = inventory(*(added(pod(f"p{i}", f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}"), i % 50) for i in range(count)))
    rows = 200_000
    which = np.random.default_rng(1).integers(0, max(1, count), rows)
    ips = np.zeros((rows, 16), np.uint8)
    ips[:, 10:12], ips[:, 12] = 255, 10
    ips[:, 13], ips[:, 14], ips[:, 15] = which >> 16, which >> 8 & 255, which & 255
    at = np.full(rows, 100 * SECOND, np.int64)
    naming = made.naming()
    found = naming.resolve(ips, at, at)
    assert len(naming.ends) == count
    expected = [f"p{w}" for w in which[:200]] if count else [None] * 200
    assert [naming.ends[i].pod if i >= 0 else None for i in found[:200]] == expected


def test_addresses_that_differ_in_a_few_bits_only() -> None:
    """As nodes number their pods: a network per node and a small number within it, in both families, and ports of Services."""
    ips = [ip_bytes(f"fd00:10:244:{node:x}::{pod:x}") for node in range(150) for pod in range(1, 151)]
    ips += [ip_bytes(f"fd00:20::{node:x}:0:0:{pod:x}") for node in range(50) for pod in range(1, 51)]
    ips += [ip_bytes(f"10.{node}.0.{pod}") for node in range(100) for pod in range(1, 101)]
    claims = [
        Claim(ip, 0, FOREVER, owner, port) for owner, (ip, port) in enumerate((i, p) for i in ips for p in (0, 80))
    ]
    index = IpIndex(claims)
    rows = np.frombuffer(b"".join(c.ip for c in claims), np.uint8).reshape(-1, 16)
    times = np.full(len(claims), SECOND, np.int64)
    found = index.resolve(rows, times, times, np.array([c.port for c in claims], np.uint16))
    assert found.tolist() == list(range(len(claims)))


def test_sources_are_polled(tmp_path: Path) -> None:
    from eastwest.k8s.sources import ManifestSource

    (tmp_path / "a.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: 10.96.0.1}\n"
    )
    made = Inventory([ManifestSource(tmp_path, lambda: 1)])
    assert made.poll() == 1
    assert made.poll() == 0
    assert service_of(made, "10.96.0.1", 80) == "s"


def test_addresses_that_an_agent_tells_are_its_nodes() -> None:
    """A probe comes from the bridge's address, which the Node object does not name."""
    made = inventory(*(_added({"kind": "Node", "apiVersion": "v1", "metadata": {"name": n}}) for n in ("a", "b")))
    made.learn_node_addresses("a", ["10.244.0.1", "172.17.0.1"])
    made.learn_node_addresses("b", ["10.244.1.1", "172.17.0.1"])
    naming = made.naming()
    ips = np.frombuffer(b"".join(ip_bytes(t) for t in ("10.244.0.1", "10.244.1.1", "172.17.0.1")), np.uint8)
    now = np.full(3, 5_000_000_000, np.int64)
    found = naming.resolve(ips.reshape(3, 16), now, now)
    assert [naming.ends[i].node for i in found[:2]] == ["a", "b"]
    assert found[2] == NOBODY, "an address that every node has names none of them"


def test_a_bundle_carries_what_agents_told() -> None:
    made = inventory(_added({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "a"}}))
    made.learn_node_addresses("a", ["10.244.0.1"])
    (version,) = made.versions(0, 10**18)
    again = inventory(Event(EventType.ADDED, version.raw, 1))
    assert again.state_at(2).nodes[0].ips == ("10.244.0.1",)


def _added(body: dict[str, Any]) -> Event:
    return Event(EventType.ADDED, RawObject(body, "test"), 1)


def test_readiness_is_what_the_condition_says_at_the_time() -> None:
    starting, ready = pod("web", "10.0.0.1"), pod("web", "10.0.0.1")
    ready.body["status"]["conditions"] = [{"type": "PodScheduled"}, {"type": "Ready", "status": "True"}]
    failing = pod("web", "10.0.0.1")
    failing.body["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    inventory = Inventory()
    ending = pod("web", "10.0.0.1", deletionTimestamp="2026-11-22T12:00:00Z")
    ending.body["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    inventory.fold([added(starting, 10), modified(ready, 20), modified(failing, 30), modified(ending, 40)])
    said = [inventory.state_at(at * SECOND).pods[0].ready for at in (15, 25, 35, 45)]
    assert said == [None, True, False, None]
