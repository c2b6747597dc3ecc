"""Brings a running lab to what a case says its cluster is, changing only what differs from the case before."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from eastwest.lab.conformance.needs import NAMESPACE, Needs, node_names
from eastwest.lab.runtime import Lab
from eastwest.lab.state import LabError
from eastwest.policy.conformance.case import Case, RawObject
from eastwest.policy.conformance.cluster import CaseCluster

Json = dict[str, Any]
Key = tuple[str, str, str]
_READY_SECONDS: Final = 15.0
_GONE_SECONDS: Final = 20.0


class Stage:
    """One lab for many cases. `addresses` is filled as pods get theirs: give the same mapping to the case's engine."""

    def __init__(self, lab: Lab, needs: Needs) -> None:
        """Raises LabError."""
        self.lab = lab
        self.needs = needs
        self.addresses: dict[str, tuple[str, ...]] = {}
        self._nodes = [n.name for n in lab.nodes]
        self._applied: dict[Key, str] = {}
        lab.apply_objects([_namespace(NAMESPACE), *needs.node_pods(self._nodes)])
        lab.outside(sorted(needs.outside), sorted(needs.outside_ports))

    def lab_name(self, case: Case, name: str) -> str:
        """An end of a question as `Lab.probe` knows it."""
        return f"node:{node_names(case, self._nodes)[name[5:]]}" if name.startswith("node:") else name

    def begin(self, case: Case) -> None:
        """Forget the addresses of the case before; the lab's nodes stand for this case's."""
        self.addresses.clear()
        for theirs, ours in node_names(case, self._nodes).items():
            self.addresses[f"node:{theirs}"] = self.lab.node(ours).ips

    def bring(self, case: Case, cluster: CaseCluster) -> int:
        """Make the lab what `cluster` is now; when its last object was written (ns). Raises LabError and CaseError.

        What names no address of a pod comes first, in one go: policies are there before the pods that they select.
        """
        raw = cluster.raw()
        self._delete([key for key in self._applied if key not in raw])
        self._replace({k: self._body(case, o) for k, o in raw.items() if k[0] in ("Pod", "Service")})
        self._apply({k: self._body(case, o) for k, o in raw.items() if "${" not in json.dumps(o)})
        self._learn_addresses()
        whole = {_key(o): o for o in cluster.objects()}
        self._apply({k: self._body(case, whole[k]) for k, o in raw.items() if "${" in json.dumps(o)})
        self.lab.settle()
        return self.lab.changed_ns()

    def _body(self, case: Case, item: RawObject) -> Json:
        if item["kind"] == "Pod":
            return self.needs.as_lab_pod(item, self._nodes, case)
        if item["kind"] == "Node":
            name = node_names(case, self._nodes)[item["metadata"]["name"]]
            return {**item, "metadata": {**item["metadata"], "name": name}}
        return dict(item)

    def _delete(self, keys: list[Key]) -> None:
        for key in keys:
            kind, namespace, name = key
            before = self._applied.pop(key)
            if kind == "Node":  # it stays, its labels go
                body = json.loads(before)
                self.lab.apply_objects([{**body, "metadata": {"name": body["metadata"]["name"]}}])
            else:
                self.lab.delete(kind, namespace, name)
        self._wait_gone({(namespace, name) for kind, namespace, name in keys if kind == "Pod"})

    def _replace(self, wanted: Mapping[Key, Json]) -> None:
        """End the pods that are to be more than labels can make of them, and Services that would keep their addresses."""
        stale = [
            key
            for key, body in wanted.items()
            if key in self._applied and json.loads(self._applied[key])["spec"] != body["spec"]
        ]
        self._delete(stale)

    def _wait_gone(self, pods: set[tuple[str, str]]) -> None:
        deadline = time.monotonic() + _GONE_SECONDS
        while pods & {(p["metadata"]["namespace"], p["metadata"]["name"]) for p in self.lab.objects("Pod")}:
            if time.monotonic() > deadline:
                raise LabError(f"pods do not end: {', '.join('/'.join(p) for p in sorted(pods))}")
            time.sleep(0.02)

    def _apply(self, wanted: Mapping[Key, Json]) -> None:
        changed = {k: b for k, b in wanted.items() if self._applied.get(k) != json.dumps(b, sort_keys=True)}
        if changed:
            bodies = [{name: part for name, part in body.items() if name != "status"} for body in changed.values()]
            self.lab.apply_objects(bodies, timeout=_READY_SECONDS)
            self._applied.update({k: json.dumps(b, sort_keys=True) for k, b in changed.items()})

    def _learn_addresses(self) -> None:
        for pod in self.lab.objects("Pod"):
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            self.addresses[name] = tuple(entry["ip"] for entry in pod["status"]["podIPs"])


def _namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _key(item: RawObject) -> Key:
    meta = item["metadata"]
    namespace = (
        "" if item["kind"] in ("Namespace", "Node", "ClusterNetworkPolicy") else meta.get("namespace", "default")
    )
    return item["kind"], namespace, meta["name"]
