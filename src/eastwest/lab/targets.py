"""What `ns/pod`, `svc:ns/name`, `node:name` and addresses mean, and `TARGET:PORT/PROTO` in whole."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from eastwest.lab.addresses import NodePlan
from eastwest.lab.attempt import PROTOCOLS
from eastwest.lab.controllers import is_ready
from eastwest.lab.endpoints import pod_ips, selected
from eastwest.lab.state import LabError
from eastwest.lab.watch import Objects, owner_uid

Json = dict[str, Any]
_TARGET: Final = re.compile(r"(?P<to>\S+):(?P<port>\d+)(?:/(?P<protocol>[A-Za-z]+))?")
_PING: Final = re.compile(r"(?P<to>\S+)/(?i:ICMP)")


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One answered cell. `reason` is None when reachable, else "timeout" or "refused"; `address` is what was probed."""

    source: str
    target: str
    address: str
    port: int
    protocol: str
    family: int
    reachable: bool
    reason: str | None


def parse_target(text: str) -> tuple[str, int, str]:
    """TARGET, port and protocol of `TARGET:PORT/PROTO`, or of `TARGET/ICMP` (port 0). Raises LabError."""
    ping = _PING.fullmatch(text)
    if ping is not None:
        return ping["to"].strip("[]"), 0, "ICMP"
    match = _TARGET.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise LabError(f"{text!r} is not TARGET:PORT/PROTO, such as catalog/catalog-mysql-0:3306/TCP, nor TARGET/ICMP")
    protocol = (match["protocol"] or "TCP").upper()
    if protocol not in PROTOCOLS or protocol == "ICMP":
        raise LabError(f"{text!r}: unknown protocol {protocol}; use TCP, UDP or SCTP, or TARGET/ICMP without a port")
    return match["to"].strip("[]"), int(match["port"]), protocol


class Targets:
    """Looks names up in the objects as they are now."""

    def __init__(self, objects: Objects, nodes: Mapping[str, NodePlan]) -> None:
        self._objects = objects
        self._nodes = nodes

    def pod(self, namespace: str, name: str) -> Json:
        """The pod of that name, else a ready pod of the workload of that name. Raises LabError."""
        exact = self._objects.get("Pod", namespace, name)
        if exact is not None:
            return exact
        found = [p for p in self._objects.of("Pod", namespace) if self._workload(p) == name]
        if not found:
            known = sorted({self._workload(p) for p in self._objects.of("Pod", namespace)})
            raise LabError(f"no pod or workload {namespace}/{name}; {namespace} has {', '.join(known) or 'no pods'}")
        return min(found, key=lambda p: (not is_ready(p), str(p["metadata"]["name"])))

    def address(self, target: str, family: int) -> str:
        """The address of a target in a family. Raises LabError."""
        try:
            ip = ipaddress.ip_address(target)
        except ValueError:
            addresses = self._addresses(target)
        else:
            return str(ip)
        for address in addresses:
            if (":" in address) == (family == 6):
                return address
        raise LabError(f"{target} has no IPv{family} address")

    def _addresses(self, target: str) -> list[str]:
        kind, _, rest = target.partition(":") if ":" in target else ("pod", "", target)
        namespace, _, name = rest.partition("/")
        if kind == "node":
            if rest not in self._nodes:
                raise LabError(f"no node {rest!r}; there are {', '.join(self._nodes)}")
            return [self._nodes[rest].ipv4, self._nodes[rest].ipv6]
        if kind == "svc":
            service = self._objects.get("Service", namespace, name)
            if service is None:
                raise LabError(f"no Service {rest}")
            ips = [ip for ip in service["spec"].get("clusterIPs") or [] if ip != "None"]
            return ips or [ip for p in selected(service, self._objects.of("Pod")) if is_ready(p) for ip in pod_ips(p)]
        if kind != "pod" or not name:
            raise LabError(f"{target!r} is not ns/pod, svc:ns/name, node:name or an address")
        return pod_ips(self.pod(namespace, name))

    def _workload(self, pod: Json) -> str:
        """Name of the top of a pod's owner chain."""
        name, uid = str(pod["metadata"]["name"]), owner_uid(pod)
        for kind in ("ReplicaSet", "Job", "StatefulSet", "DaemonSet"):
            for owner in self._objects.of(kind, pod["metadata"]["namespace"]):
                if uid is not None and owner["metadata"]["uid"] == uid:
                    above = owner["metadata"].get("ownerReferences") or []
                    return str(above[0]["name"] if above else owner["metadata"]["name"])
        return name
