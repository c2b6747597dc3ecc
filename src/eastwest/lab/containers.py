"""The processes of one pod: its sandbox with its link, its containers, and the probes that are commands.

Starts them and says when they are ready; what is done when one ends is for `pods` to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from typing import Any

from eastwest.lab import cgroups, healthloop, network, podspec
from eastwest.lab.channel import CallError
from eastwest.lab.podrun import ContainerRun, PodRun
from eastwest.lab.processes import Process, Processes
from eastwest.lab.state import LabFiles, Network

Json = dict[str, Any]


class Containers:
    """Starts processes where they belong."""

    def __init__(self, processes: Processes, files: LabFiles, mode: Network, driver: cgroups.Driver) -> None:
        self._processes, self._files, self._mode, self._driver = processes, files, mode, driver

    async def make_sandbox(self, run: PodRun, body: Json, dns: str) -> None:
        """The process that holds a pod's namespaces, wired to its node. Raises CallError."""
        host = bool(body["spec"].get("hostNetwork"))
        pause = cgroups.create(run.cgroup / cgroups.container_name(uuid.uuid4().hex * 2, self._driver))
        etc = podspec.write_etc(self._files.etc / run.uid, body, run.ips, dns)
        name = run.node.plan.name if host else podspec.hostname(body)
        spec = {"cgroup": str(pause), "hostname": name, "etc": str(etc),
                "host_pid": run.node.process.pid if host else None}  # fmt: skip
        run.sandbox = await self._processes.start("sandbox", spec, channel=True)
        await ready(run.sandbox)
        if host:
            return
        link, plan = podspec.host_link(run.uid), run.node.plan
        await run.sandbox.call("wire", steps=network.pod(plan, run.ips, link, run.node.process.pid, self._mode))
        await run.node.process.call("wire", steps=network.node_to_pod(plan, run.ips, link, self._mode))

    async def start(self, run: PodRun, body: Json, container: ContainerRun, *, once: bool = False) -> Process:
        """Start a container in its pod's sandbox. `once`: the built-in program does its calls once and ends."""
        assert run.sandbox is not None
        container.id = container.id or uuid.uuid4().hex * 2
        cgroup = cgroups.create(run.cgroup / cgroups.container_name(container.id, self._driver))
        env = podspec.environment(body, container.spec, run.ips, run.node.plan)
        namespace, pod_name = run.key[1:]
        log = self._files.logs / f"{namespace}_{pod_name}_{container.spec['name']}.log"
        program = podspec.program(body, container.spec, run.ips, env, self._files.zone, self._files.go)
        if "app" in program and once:
            program["app"]["once"] = True
        spec = {"sandbox_pid": run.sandbox.pid, "cgroup": str(cgroup), "log": str(log), "env": env,
                "name": container.spec["name"], **program}  # fmt: skip
        return await self._processes.start("container", spec, channel="app" in program)

    def ask_probes(
        self, run: PodRun, body: Json, container: ContainerRun, tell_of: Callable[[Json], None]
    ) -> list[asyncio.Task[None]]:
        """Ask the probes that are commands; each runs beside the container, in its cgroup. `tell_of` takes their reports."""

        def watched(kind: str, probe: Json) -> asyncio.Task[None]:
            async def ask(timeout: float) -> bool:
                spec = {**container.spec, "command": probe["exec"].get("command") or ["true"], "args": []}
                process = await self.start(run, body, ContainerRun(spec, id=container.id))
                await asyncio.wait([process.exited], timeout=timeout)
                process.kill()
                return process.exited.done() and process.exited.result() == 0

            def tell(ok: bool) -> None:
                tell_of({"uid": run.uid, "container": container.spec["name"], "kind": kind, "ok": ok})

            return asyncio.get_running_loop().create_task(healthloop.watch(kind, probe, ask, tell))

        return [watched(kind, probe) for kind, probe in container.probes().items() if "exec" in probe]

    async def end_sandbox(self, run: PodRun, *, host: bool) -> None:
        """Kill whatever is left in the pod's cgroup, and remove its link."""
        cgroups.kill(run.cgroup)
        if run.sandbox is not None:
            await run.sandbox.exited
            assert run.sandbox.channel is not None
            run.sandbox.channel.close()
        if not host:
            with contextlib.suppress(CallError, TimeoutError):
                await run.node.process.call("wire", steps=[["delete", {"name": podspec.host_link(run.uid)}]])


async def ready(process: Process) -> None:
    """Wait for a process's first word. Raises CallError when it ended instead."""
    assert process.channel is not None
    said = asyncio.get_running_loop().create_future()
    process.channel.on_event = lambda event: None if said.done() else said.set_result(event)
    await asyncio.wait([said, process.exited], return_when=asyncio.FIRST_COMPLETED, timeout=30)
    if not said.done():
        raise CallError("a process did not start; see labd.log")


async def first_word(process: Process) -> None:
    """`ready`, or the end of the process, whichever comes first."""
    with contextlib.suppress(CallError):
        await ready(process)
