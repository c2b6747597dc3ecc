"""Small scenarios for labs: somebody answers, others call. What a test has to show in full it writes out itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]


@dataclass(frozen=True)
class Port:
    """A container's port by name, and the one under which a Service offers it."""

    name: str
    number: int
    asked: int
    protocol: str = "TCP"


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def deployment(name: str, namespace: str, ports: Iterable[Port], replicas: int = 1, node: str | None = None) -> Object:
    """Pods that answer on every port."""
    found = [{"name": p.name, "containerPort": p.number, "protocol": p.protocol} for p in ports]
    return _workload("Deployment", {"replicas": replicas}, name, namespace, found, (), node)


def service(name: str, namespace: str, ports: Iterable[Port]) -> Object:
    """In front of the workload of the same name; it aims at ports by their names."""
    found = [{"name": p.name, "port": p.asked, "protocol": p.protocol, "targetPort": p.name} for p in ports]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": found},
    }


def stateful_set(name: str, namespace: str, *calls: Object, node: str | None = None) -> Object:
    """One pod with a lasting name, that calls: `{"to": "tcp://cow:7000", "rate": "10/s"}`."""
    return _workload("StatefulSet", {"serviceName": name}, name, namespace, [], calls, node)


def write(path: Path, objects: Iterable[Object]) -> None:
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False))


def _workload(
    kind: str,
    spec: Object,
    name: str,
    namespace: str,
    ports: list[Object],
    calls: tuple[Object, ...],
    node: str | None,
) -> Object:
    annotations = {"eastwest.lab/calls": json.dumps(calls)} if calls else {}
    pod: Object = {"containers": [{"name": name, "image": f"example/{name}", "ports": ports}]}
    if node:
        pod["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            **spec,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}, "annotations": annotations}, "spec": pod},
        },
    }
