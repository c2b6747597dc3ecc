"""Kubernetes objects as a watch delivers them, with only what a test is about."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eastwest.k8s.raw import RawObject
from eastwest.k8s.sources import Event, EventType
from eastwest.model.flow import ip_bytes

SECOND = 1_000_000_000


def raw(kind: str, name: str, namespace: str = "shop", **body: Any) -> RawObject:
    metadata = {"name": name, **({} if kind == "Node" else {"namespace": namespace}), **body.pop("metadata", {})}
    return RawObject({"apiVersion": "v1", "kind": kind, "metadata": metadata, **body}, "test", 1)


def pod(
    name: str, *ips: str, uid: str | None = None, phase: str = "Running", host: bool = False, **metadata: Any
) -> RawObject:
    return raw(
        "Pod",
        name,
        metadata={"uid": uid or f"uid-{name}", **metadata},
        spec={"nodeName": "n1", "hostNetwork": host, "containers": []},
        status={"phase": phase, "podIPs": [{"ip": ip} for ip in ips]},
    )


def node(name: str, ip: str, zone: str = "eu-1a") -> RawObject:
    labels = {"topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": "eu-1"}
    return raw("Node", name, metadata={"labels": labels}, status={"addresses": [{"type": "InternalIP", "address": ip}]})


def service(name: str, *ips: str, ports: tuple[int, ...] = (80,), **spec: Any) -> RawObject:
    return raw("Service", name, spec={"clusterIPs": list(ips), "ports": [{"port": p} for p in ports], **spec})


def added(thing: RawObject, at_s: float) -> Event:
    return Event(EventType.ADDED, thing, int(at_s * SECOND))


def modified(thing: RawObject, at_s: float) -> Event:
    return Event(EventType.MODIFIED, thing, int(at_s * SECOND))


def deleted(thing: RawObject, at_s: float) -> Event:
    return Event(EventType.DELETED, thing, int(at_s * SECOND))


def addresses(*texts: str) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(ip_bytes(text) for text in texts), np.uint8).reshape(-1, 16)


def ns(*seconds: float) -> NDArray[np.int64]:
    return np.array([int(s * SECOND) for s in seconds], np.int64)
