"""Pods as processes: what the kubelets of all nodes do. Starts, supervises, restarts and ends them.

Each pod is one task; it owns the pod's processes, its cgroup, its addresses and its status. The Pod object is written
before the address exists on the wire and removed after it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

from eastwest.lab import cgroups, podspec
from eastwest.lab.addresses import DNS_V4, Full
from eastwest.lab.channel import CallError
from eastwest.lab.containers import Containers, first_word
from eastwest.lab.podrun import ContainerRun, NodeRun, PodRun
from eastwest.lab.processes import Processes
from eastwest.lab.state import LabFiles, Network
from eastwest.lab.watch import Objects, key_of, rfc3339

Json = dict[str, Any]
_GRACE_SECONDS: Final = 5.0  # the lab's own ceiling on terminationGracePeriodSeconds
_FAILED_SECONDS: Final = 1.0  # before a pod that cannot start is given up and replaced
_PARALLEL_STARTS: Final = 16
_BACKOFF_SECONDS: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


class Pods:
    """Every running pod of the lab, by uid."""

    def __init__(
        self, objects: Objects, processes: Processes, files: LabFiles, nodes: list[NodeRun], mode: Network,
        driver: cgroups.Driver, changed: Callable[[], None], settled: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        """`changed` is told of every change of status; `settled` returns when Services no longer point at a pod."""
        self.runs: dict[str, PodRun] = {}
        self.notes: dict[str, str] = {}
        self.dns = DNS_V4  # what pods that start from now on ask
        self._objects, self._nodes, self._driver = objects, nodes, driver
        self._containers = Containers(processes, files, mode, driver)
        self._changed, self._settled = changed, settled
        self._starting = asyncio.Semaphore(_PARALLEL_STARTS)
        self._stops: set[asyncio.Task[None]] = set()

    def start(self, body: Json) -> None:
        """Schedule a pod, give it its addresses, write it down and start it in the background."""
        labels = {n["metadata"]["name"]: n["metadata"]["labels"] for n in self._objects.of("Node")}
        body["metadata"].setdefault("uid", str(uuid.uuid4()))
        plans = [n.plan for n in self._nodes]
        try:
            plan = podspec.choose_node(body, plans, labels, list(self._objects.of("Pod")))
        except LookupError as error:
            self._note(body, str(error))
            return
        node = self._nodes[plan.index]
        if body["spec"].get("hostNetwork"):
            ips: tuple[str, ...] = (plan.ipv4, plan.ipv6)
        else:
            try:
                ips = node.take_ips((body["metadata"].get("annotations") or {}).get(podspec.PINNED_IPS))
            except Full as error:
                self._note(body, f"{plan.name}: {error}")
                return
        body["spec"]["nodeName"] = plan.name
        body["status"] = podspec.status(body, "Pending", ips, plan, [], ready=False)
        stored = self._objects.put(body)
        uid = stored["metadata"]["uid"]
        inner = cgroups.pod_path(uid, cgroups.qos_class(body["spec"]), self._driver)
        run = PodRun(uid, key_of(stored), node, ips, node.cgroup / inner)
        self.runs[uid] = run
        run.task = asyncio.get_running_loop().create_task(self._run(run))

    def stop(self, pod: Json) -> asyncio.Task[None] | None:
        """End a pod as Kubernetes does: out of its Services, SIGTERM, grace, SIGKILL, then forgotten."""
        run = self.runs.get(pod["metadata"]["uid"])
        if run is None:
            self._objects.remove(key_of(pod))
            self._changed()
            return None
        if run.stopping:
            return None
        run.stopping = True
        task = asyncio.get_running_loop().create_task(self._stop(run))
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)
        return task

    def probe_changed(self, event: Json) -> None:
        """Take a report of a node's health checks."""
        run = self.runs.get(event["uid"])
        container = next((c for c in run.containers if c.spec["name"] == event["container"]), None) if run else None
        if run is None or container is None or run.stopping:
            return
        if event["kind"] == "readinessProbe" or event["ok"]:
            (container.passed.add if event["ok"] else container.passed.discard)(event["kind"])
            self._refresh(run)
        elif container.process is not None:
            self._note(self._objects.get(*run.key), f"{container.spec['name']}: {event['kind']} failed, restarted")
            container.process.kill()

    def health_checks(self, node: NodeRun) -> dict[str, Json]:
        """What `healthchecks.HealthChecks.replace` of that node should watch now."""
        wanted: dict[str, Json] = {}
        for run in self.runs.values():
            body = self._objects.get(*run.key)
            if run.node is not node or run.stopping or run.phase != "Running" or body is None:
                continue
            for container in run.containers:
                for kind, probe in container.probes().items() if container.process else ():
                    if "exec" in probe:
                        continue
                    action = probe.get("httpGet") or probe.get("tcpSocket") or probe.get("grpc") or {}
                    port = container.port_number(action.get("port"))
                    if port is not None:
                        key = f"{run.uid}/{container.spec['name']}/{kind}/{container.restarts}"
                        wanted[key] = {"uid": run.uid, "container": container.spec["name"], "kind": kind,
                                       "ip": run.ips[0], "port": port, "probe": probe}  # fmt: skip
        return wanted

    async def _run(self, run: PodRun) -> None:
        body = self._objects.get(*run.key)
        assert body is not None
        try:
            async with self._starting:
                await self._containers.make_sandbox(run, body, self.dns)
            for init in body["spec"].get("initContainers") or []:
                if init.get("restartPolicy") == "Always":
                    run.containers.append(ContainerRun(init))
                    continue
                await self._run_init(run, body, init)
            run.containers += [ContainerRun(c) for c in body["spec"]["containers"]]
            run.phase = "Running"
            await self._until_over(run, asyncio.gather(*(self._keep(run, body, c) for c in run.containers)))
        except Exception as error:  # whatever it was, it was this pod's; the lab goes on
            self._note(body, str(error) or type(error).__name__)
            await asyncio.sleep(_FAILED_SECONDS)
            run.phase = "Failed"
        else:
            codes = [c.last_code for c in run.containers]
            run.phase = "Succeeded" if all(c == 0 for c in codes) else "Failed"
        if not run.stopping:
            self._refresh(run)
            await self._release(run)
            self.runs.pop(run.uid, None)
            self._changed()

    async def _until_over(self, run: PodRun, containers: asyncio.Future[list[None]]) -> None:
        """Wait for all containers to end for good. Raises CallError when the sandbox dies first."""
        assert run.sandbox is not None
        try:
            either: list[asyncio.Future[Any]] = [containers, run.sandbox.exited]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not containers.done():
                raise CallError("the pod's sandbox has died")
            containers.result()
        finally:
            containers.cancel()

    async def _run_init(self, run: PodRun, body: Json, init: Json) -> None:
        """Run an init container until it succeeds, or once when nothing is to be restarted. Raises CallError."""
        attempt = 0
        while True:
            process = await self._containers.start(run, body, ContainerRun(init), once=True)
            code = await process.exited
            if code == 0:
                return
            if body["spec"].get("restartPolicy") == "Never":
                raise CallError(f"init container {init['name']} ended with exit code {code}")
            self._note(body, f"init container {init['name']} ended with exit code {code}, started again")
            attempt = min(attempt + 1, len(_BACKOFF_SECONDS) - 1)
            await asyncio.sleep(_BACKOFF_SECONDS[attempt])

    async def _keep(self, run: PodRun, body: Json, container: ContainerRun) -> None:
        """Run a container, again and again as the restart policy says."""
        policy = body["spec"].get("restartPolicy", "Always")
        while not run.stopping:
            container.id = ""
            process = await self._containers.start(run, body, container)
            container.process, container.passed, container.started_ns = process, set(), time.time_ns()
            if process.channel is not None:
                await first_word(process)
            container.started = True
            self._refresh(run)
            asking = self._containers.ask_probes(run, body, container, self.probe_changed)
            container.last_code = await process.exited
            for task in asking:
                task.cancel()
            container.process, container.started = None, False
            if run.stopping or policy == "Never" or (policy == "OnFailure" and container.last_code == 0):
                return
            self._refresh(run)
            lived = (time.time_ns() - container.started_ns) / 1e9
            await asyncio.sleep(0 if lived > 60 else _BACKOFF_SECONDS[min(container.restarts, 6)])
            container.restarts += 1

    async def _stop(self, run: PodRun) -> None:
        body = self._objects.get(*run.key)
        if body is not None and run.phase == "Running":
            stamp = rfc3339(time.time_ns())
            self._objects.put({**body, "metadata": {**body["metadata"], "deletionTimestamp": stamp,
                                                   "deletionGracePeriodSeconds": 30}})  # fmt: skip
            self._changed()
            await self._settled()
            for container in run.containers:
                if container.process is not None:
                    container.process.kill(signal.SIGTERM)
            grace = body["spec"].get("terminationGracePeriodSeconds", 30)
            alive = [c.process.exited for c in run.containers if c.process is not None]
            if alive:
                await asyncio.wait(alive, timeout=min(grace, _GRACE_SECONDS))
        if run.task is not None and not run.task.done():
            run.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await run.task
        await self._release(run)
        self.runs.pop(run.uid, None)
        self._objects.remove(run.key)
        self._changed()

    async def _release(self, run: PodRun) -> None:
        """End what is left of a pod's processes, its link, its cgroup and its addresses."""
        body = self._objects.get(*run.key)
        host = body is not None and bool(body["spec"].get("hostNetwork"))
        await self._containers.end_sandbox(run, host=host)
        deadline = time.monotonic() + 5
        while not cgroups.remove(run.cgroup, timeout=0) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        if not host:
            run.node.give_back(run.ips)

    def _refresh(self, run: PodRun) -> None:
        """Write the pod's status as it is now."""
        body = self._objects.get(*run.key)
        if body is None:
            return
        entries = [c.status() for c in run.containers]
        ready_now = run.phase == "Running" and all(e["ready"] for e in entries)
        status = podspec.status(body, run.phase, run.ips, run.node.plan, entries, ready=ready_now)
        if status != body.get("status"):
            self._objects.put({**body, "status": status})
        self._changed()

    def _note(self, body: Json | None, text: str) -> None:
        if body is not None:
            self.notes[f"{body['metadata'].get('namespace')}/{body['metadata']['name']}"] = text
