"""Load generators outside the cluster: one process per Service of type LoadBalancer with `eastwest.lab/clients`."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

from eastwest.lab import internet
from eastwest.lab.processes import Process, Processes
from eastwest.lab.state import LabFiles
from eastwest.lab.watch import Objects
from eastwest.lab.workload.calls import CLIENTS_ANNOTATION

Json = dict[str, Any]


class OutsideLoad:
    """Starts, restarts and ends the generators to match the annotations."""

    def __init__(
        self, files: LabFiles, objects: Objects, processes: Processes, internet_pid: int, cgroup: Path
    ) -> None:
        self._files, self._objects, self._processes = files, objects, processes
        self._internet_pid, self._cgroup = internet_pid, cgroup
        self._running: dict[str, tuple[Json, Process]] = {}
        self.paused = False

    async def refresh(self, *, may_start: bool) -> None:
        """Match the Services as they are now; start no new generator before `may_start`, when all pods are ready."""
        wanted: dict[str, Json] = {}
        for service in [] if self.paused else self._objects.of("Service"):
            meta = service["metadata"]
            text = (meta.get("annotations") or {}).get(CLIENTS_ANNOTATION)
            ingress = (service.get("status") or {}).get("loadBalancer", {}).get("ingress")
            if text and ingress:
                name = f"{meta['namespace']}.{meta['name']}"
                wanted[name] = {"name": name, "calls": text, "host": _host(ingress[0]["ip"]),
                                "locals": {4: internet.CLIENTS_V4[0], 6: internet.CLIENTS_V6[0]},
                                "internet_pid": self._internet_pid, "cgroup": str(self._cgroup),
                                "stats": str(self._files.clients / f"{name}.json")}  # fmt: skip
        for name, (spec, process) in list(self._running.items()):
            if wanted.get(name) != spec or process.exited.done():
                process.kill()
                del self._running[name]
        for name, spec in wanted.items():
            if name not in self._running and may_start:
                self._running[name] = (spec, await self._processes.start("client", spec))


def _host(address: str) -> str:
    return f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
