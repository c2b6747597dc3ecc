"""What can be asked of a running lab over its control socket: one method per question, JSON in and out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from eastwest.k8s.raw import RawObject, load_raw
from eastwest.lab import admission, nodedns, origin
from eastwest.lab.controllers import is_ready
from eastwest.lab.endpoints import pod_ips
from eastwest.lab.faults import change, listing
from eastwest.lab.held import HeldConnections
from eastwest.lab.labrun import LabRun
from eastwest.lab.probe import probe
from eastwest.lab.state import LabError
from eastwest.lab.targets import Targets

Json = dict[str, Any]


class Control:
    """Dispatches `call(method, params)` to the method `on_<method>`."""

    def __init__(self, lab: LabRun) -> None:
        self._lab = lab
        self._held = HeldConnections(lab.processes)

    async def call(self, method: str, params: Json) -> Any:
        """Raises LabError for what a person can mend."""
        handler = getattr(self, f"on_{method}", None)
        if handler is None:
            raise LabError(f"this lab is older or newer than this command: it has no {method!r}")
        return await handler(**params)

    async def on_ping(self) -> str:
        return "pong"

    async def on_down(self) -> None:
        self._lab.down.set()

    async def on_apply(self, paths: list[str]) -> Json:
        """Files and folders; all or nothing. Returns keys and warnings."""
        found, problems = [], []
        for path in paths:
            raw, more = load_raw(Path(path))
            found += raw
            problems += more
        errors = [str(p) for p in problems if p.severity == "error"]
        bodies = []
        for item in found:
            try:
                if not admission.only_lists_files(item):
                    bodies.append(admission.check(item))
            except LabError as error:
                errors.append(str(error))
        if errors:
            raise LabError("\n".join(errors))
        if not bodies:
            raise LabError(f"no Kubernetes objects in {', '.join(paths)}")
        return {"keys": self._lab.cluster.apply(bodies),
                "warnings": [str(p) for p in problems if p.severity != "error"]}  # fmt: skip

    async def on_apply_objects(self, objects: list[Json]) -> Json:
        """Objects given as they are."""
        bodies = [admission.check(RawObject(body, f"object {i}")) for i, body in enumerate(objects)]
        return {"keys": self._lab.cluster.apply(bodies), "warnings": []}

    async def on_delete(self, kind: str, namespace: str, name: str) -> bool:
        return self._lab.cluster.delete((kind, namespace, name))

    async def on_scale(self, kind: str, namespace: str, name: str, replicas: int) -> None:
        body = self._lab.objects.get(kind, namespace, name)
        if body is None or "replicas" not in {"replicas": 1, **body.get("spec", {})}:
            raise LabError(f"no {kind} {namespace}/{name}")
        self._lab.objects.put({**body, "spec": {**body["spec"], "replicas": replicas}})
        self._lab.cluster.touch()

    async def on_wait(self, keys: list[list[str]] | None = None, timeout: float = 60.0) -> None:
        wanted = None if keys is None else [(k[0], k[1], k[2]) for k in keys]
        await self._lab.cluster.wait_ready(wanted, timeout)

    async def on_not_ready(self) -> list[str]:
        return self._lab.cluster.not_ready()

    async def on_settled(self) -> None:
        self._lab.cluster.touch()
        await self._lab.cluster.settled()

    async def on_trigger(self, namespace: str, name: str) -> str:
        job = self._lab.cluster.cronjobs.fire(namespace, name)
        if job is None:
            raise LabError(f"no CronJob {namespace}/{name}")
        return job

    async def on_objects(self, kind: str) -> list[Json]:
        return list(self._lab.objects.of(kind))

    async def on_enter(self, namespace: str, pod: str) -> Json:
        """What a process needs to join a pod."""
        found = origin.find(self._lab, f"{namespace}/{pod}")
        return {"pid": found.process.pid, "cgroup": str(found.cgroup), "cgroup_root": str(found.cgroup.parent)}

    async def on_probe(self, cells: list[Json], timeout: float, parallel: int) -> list[Json]:
        """See `Lab.probe_many`."""
        origins = {name: origin.find(self._lab, name) for name in dict.fromkeys(cell["from"] for cell in cells)}
        return await probe(cells, timeout, parallel, origins, self._targets())

    async def on_hold(self, source: str, target: str, port: int, protocol: str, family: int, **more: Any) -> int:
        """See `Lab.hold`."""
        return await self._held.open(
            origin.find(self._lab, source), self._targets().address(target, family), port, protocol, **more
        )

    async def on_held(self, number: int) -> Json:
        return await self._held.report(number)

    async def on_let_go(self, number: int) -> None:
        await self._held.end(number)

    async def on_node_local_dns(self) -> str:
        """See `Lab.node_local_dns`."""
        lab = self._lab
        if lab.cluster.pods.dns != nodedns.ADDRESS:
            zone = str(lab.files.zone)
            await asyncio.gather(*(node.process.call("local_dns", zone=zone) for node in lab.nodes))
            lab.cluster.pods.dns = nodedns.ADDRESS
        return nodedns.ADDRESS

    async def on_outside(self, addresses: list[str], ports: list[list[Any]]) -> None:
        """See `Lab.outside`."""
        await self._lab.outside(addresses, ports)

    async def on_changed_ns(self) -> int:
        """When the newest object was written."""
        return self._lab.objects.changed_ns

    async def on_fault(self, **request: Any) -> Any:
        return await change(self._lab, request)

    async def on_load(self, paused: bool) -> None:
        self._lab.load.paused = paused
        await self._lab.load.refresh(may_start=True)

    async def on_stats(self) -> list[Json]:
        """Counters of the load generators."""
        folder = self._lab.files.clients
        return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]

    async def on_status(self) -> Json:
        lab = self._lab
        pods = [
            {
                "namespace": p["metadata"]["namespace"],
                "name": p["metadata"]["name"],
                "node": p["spec"].get("nodeName"),
                "phase": p["status"]["phase"],
                "ready": is_ready(p),
                "restarts": sum(c["restartCount"] for c in p["status"].get("containerStatuses") or []),
                "ips": pod_ips(p),
                "note": lab.cluster.pods.notes.get(f"{p['metadata']['namespace']}/{p['metadata']['name']}"),
            }
            for p in lab.objects.of("Pod")
        ]
        services = [
            {
                "namespace": s["metadata"]["namespace"],
                "name": s["metadata"]["name"],
                "type": s["spec"].get("type"),
                "cluster_ips": s["spec"].get("clusterIPs") or [],
                "load_balancer_ips": [
                    e["ip"] for e in (s.get("status") or {}).get("loadBalancer", {}).get("ingress") or []
                ],
                "ports": [f"{p['port']}/{p.get('protocol', 'TCP')}" for p in s["spec"].get("ports") or []],
            }
            for s in lab.objects.of("Service")
        ]
        return {
            "name": lab.files.name,
            "network": lab.mode,
            "nodes": [{"name": p.name, "zone": p.zone, "ips": [p.ipv4, p.ipv6]} for p in lab.plans],
            "pods": pods,
            "services": services,
            "clients": await self.on_stats(),
            "not_ready": lab.cluster.not_ready(),
            "problem": lab.cluster.problem,
            "faults": listing(lab),
        }

    def _targets(self) -> Targets:
        return Targets(self._lab.objects, {p.name: p for p in self._lab.plans})
