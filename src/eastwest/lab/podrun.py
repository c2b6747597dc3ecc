"""Nodes, pods and containers as the controller holds them while they run. Plain state; `pods` changes it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path
from typing import Any, Final

from eastwest.lab.addresses import NodePlan, Pool
from eastwest.lab.processes import Process
from eastwest.lab.watch import rfc3339

Json = dict[str, Any]
PROBE_KINDS: Final = ("startupProbe", "readinessProbe", "livenessProbe")


@dataclass(slots=True)
class NodeRun:
    """A node: its process holds the network namespace, its cgroup everything that runs on it."""

    plan: NodePlan
    process: Process
    cgroup: Path
    addresses: Pool = field(default_factory=lambda: Pool(2, 254))

    def take_ips(self, pinned: str | None) -> tuple[str, str]:
        """An address of each family; `pinned` wants a certain one ("IPv4" or "IPv4,IPv6"). Raises Full."""
        number = self.addresses.take(int(IPv4Address(pinned.split(",")[0])) - self._base if pinned else None)
        return str(IPv4Address(self._base + number)), str(IPv6Network(self.plan.pods_v6)[number])

    def give_back(self, ips: tuple[str, ...]) -> None:
        """What `take_ips` gave."""
        self.addresses.give_back(int(IPv4Address(ips[0])) - self._base)

    @property
    def _base(self) -> int:
        return int(IPv4Address(self.plan.pods_v4.partition("/")[0]))


@dataclass(slots=True)
class ContainerRun:
    """One container of a running pod, over all its restarts."""

    spec: Json
    process: Process | None = None
    id: str = ""
    restarts: int = 0
    started: bool = False  # its process runs and, when it is the built-in one, listens
    passed: set[str] = field(default_factory=set)  # probe kinds that succeed now
    last_code: int | None = None
    started_ns: int = 0

    def probes(self) -> dict[str, Json]:
        """Probe kind -> probe, of the kinds that are set."""
        return {k: self.spec[k] for k in PROBE_KINDS if self.spec.get(k)}

    @property
    def ready(self) -> bool:
        """Whether it runs and passes its startup and readiness probes."""
        waits = [k for k in self.probes() if k != "livenessProbe"]
        return self.started and self.process is not None and all(k in self.passed for k in waits)

    def port_number(self, port: int | str | None) -> int | None:
        """The number of a probe's port, which may be the name of a container port."""
        if isinstance(port, int):
            return port
        named = {p.get("name"): int(p["containerPort"]) for p in self.spec.get("ports") or []}
        return named.get(port)

    def status(self) -> Json:
        """The entry of status.containerStatuses."""
        if self.process is not None:
            state: Json = {"running": {"startedAt": rfc3339(self.started_ns)}}
        elif self.last_code is not None:
            code = self.last_code if self.last_code >= 0 else 128 - self.last_code
            state = {"terminated": {"exitCode": code}}
        else:
            state = {"waiting": {"reason": "ContainerCreating"}}
        return {
            "name": self.spec["name"],
            "image": self.spec.get("image", ""),
            "containerID": f"containerd://{self.id}" if self.id else "",
            "ready": self.ready,
            "started": self.process is not None,
            "restartCount": self.restarts,
            "state": state,
        }


@dataclass(slots=True)
class PodRun:
    """One pod that has been given a node and addresses."""

    uid: str
    key: tuple[str, str, str]
    node: NodeRun
    ips: tuple[str, ...]
    cgroup: Path
    sandbox: Process | None = None
    containers: list[ContainerRun] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    stopping: bool = False
    phase: str = "Pending"
