"""Where packets may start: `ns/pod` (or a workload), `node:name`, or an address outside the cluster, as running processes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eastwest.lab.labrun import LabRun
from eastwest.lab.processes import Process
from eastwest.lab.state import LabError
from eastwest.lab.targets import Targets


@dataclass(frozen=True, slots=True)
class Origin:
    """`process` answers `probe` and holds the network namespace; `cgroup` is where its programs run.

    `address`: what to send from, where the namespace has many.
    """

    key: str
    process: Process
    cgroup: Path
    address: str | None = None


def find(lab: LabRun, name: str) -> Origin:
    """Raises LabError."""
    kind, _, rest = name.partition(":")
    if kind == "node":
        for node in lab.nodes:
            if node.plan.name == rest:
                return Origin(name, node.process, node.cgroup / "system.slice")
        raise LabError(f"no node {rest!r}; there are {', '.join(n.plan.name for n in lab.nodes)}")
    try:
        address = str(ipaddress.ip_address(name))
    except ValueError:
        return _pod(lab, name)
    return Origin(address, lab.internet, lab.cgroup / "lab", address)


def _pod(lab: LabRun, name: str) -> Origin:
    namespace, _, pod = name.partition("/")
    found: dict[str, Any] = Targets(lab.objects, {}).pod(namespace, pod)
    run = lab.cluster.pods.runs.get(found["metadata"]["uid"])
    if run is None or run.sandbox is None:
        raise LabError(f"{name} is not running")
    own = next((c.id for c in run.containers if c.process is not None), "")
    scopes = [p for p in run.cgroup.iterdir() if p.is_dir()]
    return Origin(run.uid, run.sandbox, next((p for p in scopes if own and own in p.name), scopes[0]))
