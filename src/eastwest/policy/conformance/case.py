"""Conformance cases as typed values: a cluster, then steps that apply and delete objects and expect cells.

The file format is tests/golden/policy/README.md. `run` asks the engine; the lab asks real packets with the same
cases. Here documents are only checked and given types; YAML is read by whoever calls.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

RawObject = Mapping[str, Any]
"""A Kubernetes object as it stands in the case."""

API_VERSIONS: Final = {
    "NetworkPolicy": "networking.k8s.io/v1",
    "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
    "Pod": "v1",
    "Namespace": "v1",
    "Node": "v1",
    "Service": "v1",
    "Endpoints": "v1",
}
"""What a case may leave out of its objects."""
DEFAULT_NAMESPACES: Final = ("x", "y", "z")
DEFAULT_PODS: Final = ("a", "b", "c")
DEFAULT_PORTS: Final = (80, 81)
PROTOCOLS: Final = ("TCP", "UDP", "SCTP")


class CaseError(ValueError):
    """A case that cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One expectation. None for port, protocol or family = all of them.

    established: the connection was opened in the step before and is used again now.
    src and dst may be patterns such as `y/*`: every pair of pods that fits, for what no cell before it says.
    """

    src: str
    dst: str
    allowed: bool
    port: int | None = None
    protocol: str | None = None
    family: int | None = None
    established: bool = False

    def of(self, pods: Iterable[str]) -> list[Cell]:
        """Itself, or with patterns one cell for each pair of different pods (`ns/name`) that fits."""
        if "*" not in self.src + self.dst:
            return [self]
        names = list(pods)
        sources = fnmatch.filter(names, self.src) if "*" in self.src else [self.src]
        targets = fnmatch.filter(names, self.dst) if "*" in self.dst else [self.dst]
        return [replace(self, src=src, dst=dst) for src in sources for dst in targets if src != dst]


@dataclass(frozen=True, slots=True)
class Reference:
    """An object to delete; namespace "" for cluster-wide kinds."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """default: what is expected of every pod-to-pod cell not listed; None = only the listed cells are checked."""

    apply: tuple[RawObject, ...] = ()
    delete: tuple[Reference, ...] = ()
    default: bool | None = None
    cells: tuple[Cell, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """`engine_only`: why no packet can tell, such as a construct that the data plane refuses; None where they can."""

    name: str
    cluster: tuple[RawObject, ...]
    steps: tuple[Step, ...]
    file: str
    engine_only: str | None = None


def parse_case(document: object, file: str) -> Case:
    """A case from one parsed document. Raises CaseError naming the file and field."""
    body = _mapping(document, file, ("name", "cluster", "steps", "engine_only"))
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise CaseError(f"{file}: name: must be text")
    where = f"{file}: {name}"
    why = body.get("engine_only")
    if why is not None and (not isinstance(why, str) or not why):
        raise CaseError(f"{where}: engine_only: must be text that says why")
    steps = _list(body.get("steps"), f"{where}: steps")
    if not steps:
        raise CaseError(f"{where}: steps: must have at least one step")
    cluster = _objects(body["cluster"], f"{where}: cluster") if "cluster" in body else default_cluster()
    return Case(name, cluster, tuple(_step(s, f"{where}: steps[{i}]") for i, s in enumerate(steps)), file, why)


def default_cluster() -> tuple[RawObject, ...]:
    """Namespaces x, y, z (label ns) with pods a, b, c (label pod), each serving 80 and 81 on TCP, UDP and SCTP."""
    ports = [
        {"name": f"serve-{port}-{protocol.lower()}", "containerPort": port, "protocol": protocol}
        for port in DEFAULT_PORTS
        for protocol in PROTOCOLS
    ]
    out: list[RawObject] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": {"ns": n}}}
        for n in DEFAULT_NAMESPACES
    ]
    for namespace in DEFAULT_NAMESPACES:
        for pod in DEFAULT_PODS:
            metadata = {"name": pod, "namespace": namespace, "labels": {"pod": pod}}
            spec = {"containers": [{"name": "serve", "image": "serve", "ports": ports}]}
            out.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return tuple(out)


def _step(document: object, where: str) -> Step:
    body = _mapping(document, where, ("apply", "delete", "expect"))
    expect = _mapping(body.get("expect", {}), f"{where}: expect", ("default", "cells"))
    default = expect.get("default")
    if default not in (None, "allow", "deny"):
        raise CaseError(f"{where}: expect.default: {default!r} is not allow or deny")
    cells = _list(expect.get("cells", []), f"{where}: expect.cells")
    return Step(
        _objects(body.get("apply", []), f"{where}: apply"),
        tuple(_reference(d, f"{where}: delete[{i}]") for i, d in enumerate(_list(body.get("delete", []), where))),
        None if default is None else default == "allow",
        tuple(_cell(c, f"{where}: expect.cells[{i}]") for i, c in enumerate(cells)),
    )


def _cell(document: object, where: str) -> Cell:
    body = _mapping(document, where, ("from", "to", "port", "protocol", "family", "allowed", "established"))
    for key in ("from", "to"):
        if not isinstance(body.get(key), str):
            raise CaseError(f"{where}: {key}: must be text: ns/pod, svc:ns/name, node:name or an address")
    if not isinstance(body.get("allowed"), bool):
        raise CaseError(f"{where}: allowed: must be true or false")
    port, protocol, family = body.get("port"), body.get("protocol"), body.get("family")
    if port is not None and (not isinstance(port, int) or not 1 <= port <= 65535):
        raise CaseError(f"{where}: port: {port!r} is not a port number")
    if protocol is not None and protocol not in (*PROTOCOLS, "ICMP"):
        raise CaseError(f"{where}: protocol: {protocol!r} is not TCP, UDP, SCTP or ICMP")
    if family not in (None, 4, 6):
        raise CaseError(f"{where}: family: {family!r} is not 4 or 6")
    established = body.get("established", False) is True
    return Cell(body["from"], body["to"], body["allowed"], port, protocol, family, established)


def _objects(value: object, where: str) -> tuple[RawObject, ...]:
    out = []
    for i, item in enumerate(_list(value, where)):
        if not isinstance(item, dict) or not isinstance(item.get("kind"), str):
            raise CaseError(f"{where}[{i}]: not a Kubernetes object (no kind)")
        if not isinstance(item.get("metadata"), dict) or not item["metadata"].get("name"):
            raise CaseError(f"{where}[{i}]: metadata.name: must not be empty")
        if "apiVersion" not in item and item["kind"] not in API_VERSIONS:
            raise CaseError(f"{where}[{i}]: apiVersion: is required for kind {item['kind']}")
        out.append({"apiVersion": API_VERSIONS.get(item["kind"]), **item})
    return tuple(out)


def _reference(document: object, where: str) -> Reference:
    body = _mapping(document, where, ("kind", "namespace", "name"))
    if not isinstance(body.get("kind"), str) or not isinstance(body.get("name"), str):
        raise CaseError(f"{where}: kind and name: must be text")
    return Reference(body["kind"], body.get("namespace") or "", body["name"])


def _list(value: object, where: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise CaseError(f"{where}: must be a list")
    return value


def _mapping(value: object, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise CaseError(f"{where}: must be a mapping with {', '.join(keys)}")
    unknown = [str(k) for k in value if k not in keys]
    if unknown:
        raise CaseError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(keys)}")
    return value
