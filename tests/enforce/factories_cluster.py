"""A small cluster as raw objects, and an inventory that follows edits of it: builders for planner and API tests."""

from __future__ import annotations

import json
from typing import Any

from eastwest.k8s.inventory import Inventory
from eastwest.k8s.raw import RawObject
from eastwest.k8s.sources import Event, EventType

Json = dict[str, Any]


def namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def node(name: str, ip: str, **labels: str) -> Json:
    status = {"addresses": [{"type": "InternalIP", "address": ip}]}
    spec = {"podCIDR": f"10.0.{ip.rpartition('.')[2]}.0/24", "podCIDRs": [f"10.0.{ip.rpartition('.')[2]}.0/24"]}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": status,
    }


def pod(name: str, ip: str, on: str, space: str = "shop", **labels: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "uid": f"uid-{name}", "labels": {"app": name, **labels}},
        "spec": {"nodeName": on, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    }


def policy(name: str, selects: str | None, *allowed: tuple[str, int], space: str = "shop") -> Json:
    """Ingress of one app (or all) from each (app, port)."""
    selector = {"matchLabels": {"app": selects}} if selects else {}
    rules = [
        {"from": [{"podSelector": {"matchLabels": {"app": app}}}], "ports": [{"protocol": "TCP", "port": port}]}
        for app, port in allowed
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": space},
        "spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": rules},
    }


def shop() -> list[Json]:
    """web on node-a, api and db on node-b."""
    return [
        namespace("shop"),
        node("node-a", "192.0.2.1", pool="blue"),
        node("node-b", "192.0.2.2"),
        pod("web", "10.0.1.1", "node-a"),
        pod("api", "10.0.2.1", "node-b"),
        pod("db", "10.0.2.2", "node-b"),
    ]


class Edited:
    """An inventory whose objects the test changes, one event each, with a clock of its own (ns from 1)."""

    def __init__(self, *objects: Json) -> None:
        self.inventory = Inventory()
        self.now_ns = 0
        self.put(*objects)

    def put(self, *objects: Json) -> int:
        """Create or change; the time of the last event."""
        return self._fold(EventType.MODIFIED, objects)

    def remove(self, *objects: Json) -> int:
        return self._fold(EventType.DELETED, objects)

    def _fold(self, kind: EventType, objects: tuple[Json, ...]) -> int:
        for body in objects:
            self.now_ns += 1
            self.inventory.fold([Event(kind, RawObject(body, "test"), self.now_ns)])
        return self.now_ns


def watch_line(body: Json, at_ns: int, kind: str = "MODIFIED") -> str:
    """A line of the lab's watch log."""
    return json.dumps({"type": kind, "at_ns": at_ns, "object": body}) + "\n"
