"""Deployments, StatefulSets, DaemonSets, Jobs and CronJobs turned into the pods that should exist. No process here.

Reads and writes objects only; `pods` makes them real. Rollouts surge fully: all new pods first, then the old ones go.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from eastwest.lab.watch import Objects, owner_reference, owner_uid

Json = dict[str, Any]
_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"  # as Kubernetes' rand.SafeEncodeString
REVISION: Final = "deployment.kubernetes.io/revision"


@dataclass
class Changes:
    """Pod bodies to start (without node and addresses) and the keys of pods to stop."""

    start: list[Json] = field(default_factory=list)
    stop: list[Json] = field(default_factory=list)


def safe_suffix(length: int, seed: str | None = None) -> str:
    """Random letters as Kubernetes puts in names, or the ones that belong to `seed`."""
    if seed is None:
        return "".join(random.choices(_LETTERS, k=length))  # noqa: S311 - a name
    digest = hashlib.sha256(seed.encode()).digest()
    return "".join(_LETTERS[b % len(_LETTERS)] for b in digest[:length])


def new_pod(owner: Json, name: str, template: Json, extra_labels: Json | None = None) -> Json:
    """A pod of `owner` from a pod template."""
    meta = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "uid": str(uuid.uuid4()),
            "labels": {**(meta.get("labels") or {}), **(extra_labels or {})},
            "annotations": dict(meta.get("annotations") or {}),
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": copy.deepcopy(template["spec"]),
    }


def is_ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_terminating(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]


class Controllers:
    """Compares what should run with what does."""

    def __init__(self, objects: Objects, node_names: Callable[[], list[str]]) -> None:
        self._objects = objects
        self._node_names = node_names

    def reconcile(self) -> Changes:
        """All workloads once."""
        changes = Changes()
        for deployment in self._objects.of("Deployment"):
            self._deployment(deployment)
        owners = {}
        for kind in ("ReplicaSet", "StatefulSet", "DaemonSet", "Job"):
            for owner in self._objects.of(kind):
                owners[owner["metadata"]["uid"]] = owner
        pods: dict[str, list[Json]] = {uid: [] for uid in owners}
        for pod in self._objects.of("Pod"):
            of = owner_uid(pod)
            if of is None or is_terminating(pod):
                continue
            if of in owners:
                if owners[of]["kind"] != "Job" and (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                    changes.stop.append(pod)
                else:
                    pods[of].append(pod)
            else:
                changes.stop.append(pod)
        for uid, owner in owners.items():
            getattr(self, "_" + owner["kind"].lower())(owner, pods[uid], changes)
        for deployment in self._objects.of("Deployment"):
            self._finish_rollout(deployment)
        return changes

    def _deployment(self, deployment: Json) -> None:
        template = deployment["spec"]["template"]
        digest = safe_suffix(10, json.dumps(template, sort_keys=True))
        meta = deployment["metadata"]
        name = f"{meta['name']}-{digest}"
        replicas = deployment["spec"].get("replicas", 1)
        existing = self._objects.get("ReplicaSet", meta["namespace"], name)
        if existing is not None and existing["spec"]["replicas"] == replicas:
            return
        labels = {**(template["metadata"].get("labels") or {}), "pod-template-hash": digest}
        body = copy.deepcopy(template)
        body["metadata"]["labels"] = labels
        selector = copy.deepcopy(deployment["spec"]["selector"])
        selector.setdefault("matchLabels", {})["pod-template-hash"] = digest
        self._objects.put({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": name, "namespace": meta["namespace"], "labels": labels,
                         "ownerReferences": [owner_reference(deployment)]},
            "spec": {"replicas": replicas, "selector": selector, "template": body},
        })  # fmt: skip

    def _finish_rollout(self, deployment: Json) -> None:
        """Remove the ReplicaSets of older templates once the newest has all its pods ready."""
        meta = deployment["metadata"]
        current = f"{meta['name']}-{safe_suffix(10, json.dumps(deployment['spec']['template'], sort_keys=True))}"
        sets = self._objects.owned_by("ReplicaSet", meta["uid"])
        newest = next((s for s in sets if s["metadata"]["name"] == current), None)
        if newest is None or len(sets) == 1:
            return
        ready = sum(is_ready(p) for p in self._objects.owned_by("Pod", newest["metadata"]["uid"]))
        if ready >= newest["spec"]["replicas"]:
            for old in sets:
                if old is not newest and old["spec"]["replicas"]:
                    self._objects.put({**old, "spec": {**old["spec"], "replicas": 0}})

    def _replicaset(self, owner: Json, pods: list[Json], changes: Changes) -> None:
        name, wanted = owner["metadata"]["name"], owner["spec"].get("replicas", 1)
        for _ in range(wanted - len(pods)):
            changes.start.append(new_pod(owner, f"{name}-{safe_suffix(5)}", owner["spec"]["template"]))
        surplus = sorted(pods, key=lambda p: (is_ready(p), p["metadata"]["resourceVersion"]))
        changes.stop += surplus[: max(0, len(pods) - wanted)]

    def _statefulset(self, owner: Json, pods: list[Json], changes: Changes) -> None:
        name, template = owner["metadata"]["name"], owner["spec"]["template"]
        revision = f"{name}-{safe_suffix(10, json.dumps(template, sort_keys=True))}"
        wanted = {f"{name}-{i}": i for i in range(owner["spec"].get("replicas", 1))}
        present = {p["metadata"]["name"] for p in self._objects.of("Pod", owner["metadata"]["namespace"])}
        for pod in pods:
            current = pod["metadata"]["labels"].get("controller-revision-hash") == revision
            if pod["metadata"]["name"] not in wanted or not current:
                changes.stop.append(pod)
        for pod_name, index in wanted.items():
            if pod_name not in present:
                labels = {"controller-revision-hash": revision, "statefulset.kubernetes.io/pod-name": pod_name,
                          "apps.kubernetes.io/pod-index": str(index)}  # fmt: skip
                pod = new_pod(owner, pod_name, template, labels)
                pod["spec"]["hostname"] = pod_name
                pod["spec"]["subdomain"] = owner["spec"].get("serviceName", "")
                changes.start.append(pod)

    def _daemonset(self, owner: Json, pods: list[Json], changes: Changes) -> None:
        template = owner["spec"]["template"]
        revision = safe_suffix(10, json.dumps(template, sort_keys=True))
        covered = set()
        for pod in pods:
            if pod["metadata"]["labels"].get("controller-revision-hash") == revision:
                covered.add(pod["spec"].get("nodeName"))
            else:
                changes.stop.append(pod)
        for node in self._node_names():
            if node not in covered:
                name = f"{owner['metadata']['name']}-{safe_suffix(5)}"
                pod = new_pod(owner, name, template, {"controller-revision-hash": revision})
                pod["spec"]["nodeName"] = node
                changes.start.append(pod)

    def _job(self, owner: Json, pods: list[Json], changes: Changes) -> None:
        spec = owner["spec"]
        phases = [(p.get("status") or {}).get("phase") for p in pods]
        done, failed = phases.count("Succeeded"), phases.count("Failed")
        active = len(phases) - done - failed
        wanted = min(spec.get("parallelism", 1), spec.get("completions", 1) - done)
        if failed > spec.get("backoffLimit", 6):
            return
        labels = {"batch.kubernetes.io/job-name": owner["metadata"]["name"], "job-name": owner["metadata"]["name"],
                  "batch.kubernetes.io/controller-uid": owner["metadata"]["uid"]}  # fmt: skip
        for _ in range(wanted - active):
            name = f"{owner['metadata']['name']}-{safe_suffix(5)}"
            changes.start.append(new_pod(owner, name, spec["template"], labels))
