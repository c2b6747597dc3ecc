"""The control plane of one lab: objects in, pods, endpoints, Services and names out.

One loop reconciles whenever something changed. Everything here runs in one asyncio thread, so nothing needs a lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final

from eastwest.lab import admission, internet, nftables
from eastwest.lab.cgroups import Driver
from eastwest.lab.controllers import Changes, Controllers, is_ready, is_terminating
from eastwest.lab.cronjobs import CronJobs
from eastwest.lab.dns import zone
from eastwest.lab.endpoints import frontends, pod_ips, slices, with_manual_endpoints
from eastwest.lab.podrun import NodeRun
from eastwest.lab.pods import Pods
from eastwest.lab.processes import Processes
from eastwest.lab.state import LabError, LabFiles, Network, write_atomically
from eastwest.lab.watch import Key, Objects, key_of, owner_uid

Json = dict[str, Any]
_PAUSE_SECONDS: Final = 0.05  # at least, and as long as the last round took: a burst of changes is few rounds


class Cluster:
    """See the module. `expose` is told the load balancer addresses and the nodes that take them,
    and whether all pods were ready when the rules were made."""

    def __init__(
        self, files: LabFiles, objects: Objects, processes: Processes, nodes: list[NodeRun], mode: Network,
        driver: Driver, expose: Callable[[dict[str, list[str]], bool], Awaitable[None]],
    ) -> None:  # fmt: skip
        self.objects = objects
        self.nodes = nodes
        self.pods = Pods(objects, processes, files, nodes, mode, driver, self.touch, self.settled)
        self.cronjobs = CronJobs(objects, self.touch)
        self.problem: str | None = None  # why the last round failed
        self._files, self._expose = files, expose
        self._defaults = admission.ServiceDefaults(objects)
        self._controllers = Controllers(objects, lambda: [n.plan.name for n in nodes])
        self._zones = {n.plan.name: n.plan.zone for n in nodes}
        self._dirty = asyncio.Event()
        self._round, self._done_round = 0, 0
        self._finished = asyncio.Condition()
        self._sent: dict[tuple[str, str], Any] = {}

    def touch(self) -> None:
        """Something changed: reconcile soon."""
        self._round += 1
        self._dirty.set()

    async def settled(self) -> None:
        """Return when everything that had changed before this call is in force on every node."""
        wanted = self._round
        async with self._finished:
            await self._finished.wait_for(lambda: self._done_round >= wanted)

    async def run(self) -> None:
        """Reconcile for ever."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            current, started = self._round, time.monotonic()
            try:
                self._act(self._controllers.reconcile())
                self._write_statuses()
                await self._sync_services()
                self.problem = None
            except Exception as error:  # one bad object must not end the lab; the next change tries again
                self.problem = str(error) or type(error).__name__
                traceback.print_exc()
            async with self._finished:
                self._done_round = current
                self._finished.notify_all()
            await asyncio.sleep(max(_PAUSE_SECONDS, time.monotonic() - started))

    def apply(self, bodies: list[Json]) -> list[Key]:
        """Create or replace checked objects, namespaces first. Raises LabError; then nothing was applied."""
        for body in bodies:
            if body["kind"] == "Node" and self.objects.get(*key_of(body)) is None:
                raise LabError(
                    f"Node {body['metadata']['name']}: the lab makes its nodes itself; only labels can change"
                )
        ordered = sorted(bodies, key=lambda b: b["kind"] != "Namespace")
        known = {n["metadata"]["name"] for n in self.objects.of("Namespace")}
        known |= {b["metadata"]["name"] for b in bodies if b["kind"] == "Namespace"}
        for body in ordered:
            namespace = body["metadata"].get("namespace")
            if namespace is not None and namespace not in known:
                raise LabError(
                    f"{body['kind']} {namespace}/{body['metadata']['name']}: namespace {namespace!r} does not exist"
                )
        self._files.go.unlink(missing_ok=True)
        keys = [self._apply_one(body) for body in ordered]
        self.touch()
        return keys

    def delete(self, key: Key) -> bool:
        """Delete one object and what it owns; False when it was not there."""
        kind, namespace, name = key
        body = self.objects.get(kind, namespace, name)
        if body is None:
            return False
        if kind == "Node":
            raise LabError(f"Node {name}: a lab keeps its nodes until it ends")
        if kind == "Pod":
            self.pods.stop(body)
        else:
            self.objects.remove(key)
        if kind == "Service":
            self._defaults.release(body)
        elif kind == "CronJob":
            self.cronjobs.refresh()
        if kind == "Namespace":
            for inner in ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet", "Service", "Endpoints",
                          "NetworkPolicy", "Pod"):  # fmt: skip
                for item in self.objects.of(inner, name):
                    self.delete(key_of(item))
        self.touch()
        return True

    def not_ready(self, keys: list[Key] | None = None) -> list[str]:
        """What is still missing, in words, of these workloads or of all."""
        missing = []
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "Pod"):
            for body in self.objects.of(kind):
                if keys is None or key_of(body) in keys:
                    have, want = self._readiness(body)
                    if have < want:
                        meta = body["metadata"]
                        missing.append(f"{kind} {meta['namespace']}/{meta['name']}: {have} of {want} pods ready")
        return missing

    def _apply_one(self, body: Json) -> Key:
        key = key_of(body)
        old = self.objects.get(*key)
        if body["kind"] == "Namespace":
            labels = body["metadata"].setdefault("labels", None) or {}
            body["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": body["metadata"]["name"]}
            body["status"] = {"phase": "Active"}
        elif body["kind"] == "Service":
            body = self._defaults.fill(body)
        elif body["kind"] == "Node":
            assert old is not None  # see `apply`
            own = {k: v for k, v in old["metadata"]["labels"].items() if "kubernetes.io/" in k}
            body = {**old, "metadata": {**old["metadata"], "labels": (body["metadata"].get("labels") or {}) | own}}
        elif body["kind"] == "Pod":
            if old is None:
                self.pods.start(body)
                return key
            meta = {**old["metadata"], "labels": body["metadata"].get("labels") or {},
                    "annotations": body["metadata"].get("annotations") or {}}  # fmt: skip
            body = {**old, "metadata": meta}
        elif old is not None:
            if "replicas" in old.get("spec", {}):
                body["spec"].setdefault("replicas", old["spec"]["replicas"])
            body["status"] = old.get("status", {})
        self.objects.put(body)
        if body["kind"] == "CronJob":
            self.cronjobs.refresh()
        return key

    def _act(self, changes: Changes) -> None:
        for kind, owner_kind in (("ReplicaSet", "Deployment"), ("Job", "CronJob")):
            owners = {o["metadata"]["uid"] for o in self.objects.of(owner_kind)}
            for body in self.objects.of(kind):
                owner = owner_uid(body)
                if owner is not None and owner not in owners:
                    self.objects.remove(key_of(body))
                    self.touch()
        for pod in changes.stop:
            self.pods.stop(pod)
        for pod in changes.start:
            self.pods.start(pod)

    def _readiness(self, body: Json) -> tuple[int, int]:
        if body["kind"] == "Pod":
            over = body["status"]["phase"] == "Succeeded" or is_terminating(body)
            return int(over or is_ready(body)), 1
        uid = body["metadata"]["uid"]
        if body["kind"] == "Deployment":
            owners = self.objects.owned_by("ReplicaSet", uid)
            live = [o for o in owners if o["spec"]["replicas"]]
            if len(live) > 1:
                return 0, body["spec"].get("replicas", 1)
            pods = [p for o in owners for p in self.objects.owned_by("Pod", o["metadata"]["uid"])]
        else:
            pods = self.objects.owned_by("Pod", uid)
        want = len(self.nodes) if body["kind"] == "DaemonSet" else body["spec"].get("replicas", 1)
        leaving = sum(is_terminating(p) for p in pods)
        return sum(is_ready(p) and not is_terminating(p) for p in pods) - leaving, want

    def _write_statuses(self) -> None:
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
            for body in self.objects.of(kind):
                if kind == "ReplicaSet":
                    pods = self.objects.owned_by("Pod", body["metadata"]["uid"])
                    have, want = sum(map(is_ready, pods)), body["spec"]["replicas"]
                else:
                    have, want = self._readiness(body)
                have = max(have, 0)
                status = {"replicas": want, "readyReplicas": have, "availableReplicas": have}
                if body.get("status") != status:
                    self.objects.put({**body, "status": status})

    async def _sync_services(self) -> None:
        """Bring EndpointSlices, names, node rules, load balancer routes and health checks in line with the pods."""
        ready = not self.not_ready()  # of these pods, not of those that change while rules are written
        pods = list(self.objects.of("Pod"))
        services = [with_manual_endpoints(s, self.objects) for s in self.objects.of("Service")]
        wanted = {key_of(s): s for service in services for s in slices(service, pods, self._zones)}
        for item in self.objects.of("EndpointSlice"):
            if key_of(item) not in wanted:
                self.objects.remove(key_of(item))
        for item in wanted.values():
            self.objects.put(item)
        names = zone.build(services, wanted.values(), internet.names())
        if self._changed("zone", "", names):
            write_atomically(self._files.zone, json.dumps(names))
        await asyncio.gather(*(self._sync_node(node, services, pods) for node in self.nodes))
        await self._expose(self._balancers(services), ready)

    async def _sync_node(self, node: NodeRun, services: list[Json], pods: list[Json]) -> None:
        fronts = [f for service in services for f in frontends(service, pods, node.plan)]
        local = [ip for p in pods if p["spec"].get("nodeName") == node.plan.name and not p["spec"].get("hostNetwork")
                 for ip in pod_ips(p)]  # fmt: skip
        rules = nftables.ruleset(node.plan, fronts, local)
        if self._changed("nft", node.plan.name, rules):
            await node.process.call("nft", ruleset=rules)
        checks = self.pods.health_checks(node)
        if self._changed("checks", node.plan.name, checks):
            await node.process.call("watch", pods=checks)

    def _balancers(self, services: list[Json]) -> dict[str, list[str]]:
        """Load balancer address -> names of the nodes that take its traffic."""
        found: dict[str, list[str]] = {}
        for service in services:
            for entry in (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or []:
                found[entry["ip"]] = [
                    node.plan.name
                    for node in self.nodes
                    if service["spec"].get("externalTrafficPolicy") != "Local" or self._has_local(service, node)
                ]
        return found

    def _has_local(self, service: Json, node: NodeRun) -> bool:
        fronts = frontends(with_manual_endpoints(service, self.objects), list(self.objects.of("Pod")), node.plan)
        return any(f.external and f.backends for f in fronts)

    def _changed(self, what: str, where: str, value: Any) -> bool:
        if self._sent.get((what, where)) == value:
            return False
        self._sent[what, where] = copy.copy(value)
        return True

    async def wait_ready(self, keys: list[Key] | None, timeout: float) -> None:
        """Return when the workloads are ready and their Services in force. Raises LabError at the deadline."""
        deadline = time.monotonic() + timeout
        while missing := self.not_ready(keys):
            if time.monotonic() > deadline:
                notes = [f"{pod}: {text}" for pod, text in self.pods.notes.items()]
                problems = [self.problem] if self.problem else []
                raise LabError("not ready in time: " + "; ".join([*missing[:5], *notes[-3:], *problems]))
            async with self._finished:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._finished.wait(), 0.5)
        self.touch()
        await self.settled()
