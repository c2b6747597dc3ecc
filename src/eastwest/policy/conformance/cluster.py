"""The cluster of a conformance case while its steps pass: objects by name, and addresses that stay with their pods.

Pods and nodes that give no address get one of each family; whoever runs real packets passes the real ones.
"""

from __future__ import annotations

import copy
import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Final

from eastwest.policy.conformance.case import CaseError, RawObject, Reference

Addresses = Mapping[str, tuple[str, ...]]
"""`ns/pod` or `node:name` to its addresses (IPv4 first), for pods and nodes that do not state their own."""

_WORD: Final = re.compile(r"\$\{ip([46]):(node:[^}/]+|[^}/]+/[^}/]+)(?:/(\d+))?\}")
_CLUSTER_WIDE: Final = ("Namespace", "Node", "ClusterNetworkPolicy")


class CaseCluster:
    """`objects()` is what would stand in the API server now, with addresses filled in and `${ip4:…}` expanded."""

    def __init__(self, cluster: tuple[RawObject, ...], addresses: Addresses | None = None) -> None:
        self._objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._given: Addresses = {} if addresses is None else addresses  # empty now may be full later
        self._assigned: dict[str, tuple[str, ...]] = {}
        for item in cluster:
            self.apply(item)

    def apply(self, item: RawObject) -> None:
        """Create or replace; an object that leaves out its spec or status keeps the one it had (label changes)."""
        key = _key(item)
        before = self._objects.get(key, {})
        self._objects[key] = {**{k: before[k] for k in ("spec", "status") if k in before}, **copy.deepcopy(dict(item))}

    def delete(self, reference: Reference) -> None:
        """Raises CaseError when there is no such object."""
        if self._objects.pop((reference.kind, reference.namespace, reference.name), None) is None:
            raise CaseError(f"delete: there is no {reference.kind} {reference.namespace}/{reference.name}")

    def raw(self) -> dict[tuple[str, str, str], RawObject]:
        """By (kind, namespace, name): as they stand in the case, nothing filled in or expanded."""
        return dict(self._objects)

    def objects(self) -> list[dict[str, Any]]:
        """Copies; nodes first, so that host-network pods find the address of theirs."""
        out = []
        for (kind, _, _), item in sorted(self._objects.items(), key=lambda entry: entry[0][0] != "Node"):
            if kind == "Node":
                item = self._with_node_addresses(item)
            elif kind == "Pod":
                item = self._with_pod_addresses(item)
            out.append(item)
        return [self.expand(item) for item in out]

    def expand(self, value: Any) -> Any:
        """`${ip4:ns/pod}`, `${ip6:ns/pod}`, `${ip4:ns/pod/24}` and `${ip4:node:name}` replaced, anywhere inside."""
        if isinstance(value, str):
            return _WORD.sub(self._address, value)
        if isinstance(value, dict):
            return {k: self.expand(v) for k, v in value.items()}
        return [self.expand(v) for v in value] if isinstance(value, list) else value

    def _address(self, match: re.Match[str]) -> str:
        family, name, prefix = int(match[1]), match[2], match[3]
        for text in self._assigned.get(name, ()):
            if ipaddress.ip_address(text).version == family:
                return str(ipaddress.ip_network(f"{text}/{prefix}", strict=False)) if prefix else text
        raise CaseError(f"{match[0]}: {name} has no IPv{family} address")

    def _with_node_addresses(self, item: dict[str, Any]) -> dict[str, Any]:
        name = f"node:{item['metadata']['name']}"
        status = item.get("status") or {}
        stated = tuple(a["address"] for a in status.get("addresses", []) if a.get("type") == "InternalIP")
        ips = self._assign(name, stated, "10.99.0.{}", "fd00:99::{:x}")
        addresses = [{"type": "InternalIP", "address": ip} for ip in ips]
        return {**item, "status": {**status, "addresses": addresses}}

    def _with_pod_addresses(self, item: dict[str, Any]) -> dict[str, Any]:
        metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
        name = f"{metadata.get('namespace', 'default')}/{metadata['name']}"
        stated = tuple(a["ip"] for a in status.get("podIPs", [])) or tuple(filter(None, [status.get("podIP")]))
        if spec.get("hostNetwork"):
            stated = stated or self._assigned.get(f"node:{spec.get('nodeName')}", ())
        ips = self._assign(name, stated, "10.244.0.{}", "fd00:244::{:x}")
        running = {"phase": "Running", **status, "podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
        return {**item, "status": running}

    def _assign(self, name: str, stated: tuple[str, ...], v4: str, v6: str) -> tuple[str, ...]:
        if stated:
            self._assigned[name] = stated
        elif name not in self._assigned:
            n = len(self._assigned) + 10
            self._assigned[name] = self._given.get(name) or (v4.format(n), v6.format(n))
        return self._assigned[name]


def _key(item: RawObject) -> tuple[str, str, str]:
    metadata = item["metadata"]
    namespace = "" if item["kind"] in _CLUSTER_WIDE else metadata.get("namespace", "default")
    return item["kind"], namespace, metadata["name"]
