"""What a set of cases needs from one lab that is to run them all: ports to serve, addresses outside, names of nodes.

Pure. Pods get every port that any case asks of a pod of that shape, so that a pod need not be started again for the next case;
such ports have no name, so no policy can mean them by it.
"""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eastwest.lab.addresses import (
    LOAD_BALANCERS_V4,
    LOAD_BALANCERS_V6,
    NODES_V4,
    NODES_V6,
    PODS_V4,
    PODS_V6,
    SERVICE_V4,
    SERVICE_V6,
)
from eastwest.policy.conformance.case import DEFAULT_PORTS, PROTOCOLS, Case, CaseError, RawObject

Json = dict[str, Any]
Port = tuple[int, str]
NAMESPACE: Final = "eastwest-conformance"
_INSIDE: Final = (
    NODES_V4, PODS_V4, SERVICE_V4, LOAD_BALANCERS_V4, NODES_V6, PODS_V6, SERVICE_V6, LOAD_BALANCERS_V6
)  # fmt: skip


def shape(pod: RawObject) -> str:
    """What cannot change while a pod runs: two pods of one name and shape differ in labels only."""
    return f"{pod['metadata'].get('namespace', 'default')}/{pod['metadata']['name']} {pod.get('spec')}"


def declared(pod: RawObject) -> set[Port]:
    """The ports of all containers."""
    return {
        (int(p["containerPort"]), str(p.get("protocol", "TCP")))
        for c in (pod.get("spec") or {}).get("containers") or []
        for p in c.get("ports") or []
    }


@dataclass
class Needs:
    """Gathered over all cases. `extra`: ports by pod shape beyond the declared ones."""

    outside: set[str] = field(default_factory=set)
    outside_ports: set[Port] = field(default_factory=set)
    node_ports: set[Port] = field(default_factory=set)
    extra: dict[str, set[Port]] = field(default_factory=dict)

    def as_lab_pod(self, pod: RawObject, nodes: Sequence[str], case: Case) -> Json:
        """The pod with all its ports and on the lab's own node. Raises CaseError when the lab has too few nodes."""
        body: Json = copy.deepcopy(dict(pod))
        spec = body.setdefault("spec", {})
        if spec.get("nodeName"):
            spec["nodeName"] = node_names(case, nodes)[spec["nodeName"]]
        more = sorted(self.extra.get(shape(pod), set()) - declared(pod))
        if more:
            spec["containers"][0].setdefault("ports", []).extend({"containerPort": n, "protocol": p} for n, p in more)
        return body

    def node_pods(self, nodes: Sequence[str]) -> list[Json]:
        """One host-network pod a node that serves what the cases ask of nodes."""
        ports = [{"containerPort": n, "protocol": p} for n, p in sorted(self.node_ports)]
        return [
            {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"hostNetwork": True, "nodeName": name,
                         "containers": [{"name": "serve", "image": "serve", "ports": ports}]},
            }
            for name in nodes
        ]  # fmt: skip


def gather(cases: Iterable[Case]) -> Needs:
    """What all of them need. Raises CaseError for what no lab can stage."""
    needs, taken = Needs(), set[Port]()
    for case in cases:
        pods = {_pod_name(p): p for p in _of_kind(case, "Pod")}
        for cell_from, cell_to, ports in _asked(case):
            for name in (cell_from, cell_to):
                if is_outside(name):
                    needs.outside.add(name)
            if cell_to.startswith("node:"):
                needs.node_ports |= ports
            elif is_outside(cell_to):
                needs.outside_ports |= ports
            elif cell_to in pods:
                needs.extra.setdefault(shape(pods[cell_to]), set()).update(ports)
        for service in _of_kind(case, "Service"):
            for pod in pods.values():
                needs.extra.setdefault(shape(pod), set()).update(_targets(service, pod))
        for pod in pods.values():
            taken |= declared(pod) if (pod.get("spec") or {}).get("hostNetwork") else set()
        for endpoints in _of_kind(case, "Endpoints"):
            for subset in endpoints.get("subsets") or []:
                found = {a["ip"] for a in subset.get("addresses") or []}
                needs.outside |= {ip for ip in found if is_outside(ip)}
                needs.outside_ports |= {(int(p["port"]), p.get("protocol", "TCP")) for p in subset.get("ports") or []}
    needs.node_ports -= taken  # one port of a node has one server: the case's own
    return needs


def is_outside(name: str) -> bool:
    """Whether `name` is an address that no part of a lab has."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return not any(address in network for network in _INSIDE)


def node_names(case: Case, nodes: Sequence[str]) -> dict[str, str]:
    """The case's nodes in order of their names, each as one of the lab's. Raises CaseError when there are too few."""
    used = {n["metadata"]["name"] for n in _of_kind(case, "Node")}
    used |= {p["spec"]["nodeName"] for p in _of_kind(case, "Pod") if (p.get("spec") or {}).get("nodeName")}
    if len(used) > len(nodes):
        raise CaseError(f"{case.file}: {case.name}: needs {len(used)} nodes, this lab has {len(nodes)}")
    return dict(zip(sorted(used), nodes, strict=False))


def _asked(case: Case) -> Iterator[tuple[str, str, set[Port]]]:
    pods = [_pod_name(p) for p in _of_kind(case, "Pod")]
    for step in case.steps:
        for cell in (one for given in step.cells for one in given.of(pods)):
            numbers = [cell.port] if cell.port else DEFAULT_PORTS
            protocols = [cell.protocol] if cell.protocol else PROTOCOLS
            ports = {(n, p) for n in numbers for p in protocols if p != "ICMP"}
            yield cell.src, cell.dst, ports if cell.port or not _serves(case, cell.dst) else set()


def _serves(case: Case, name: str) -> bool:
    return any(_pod_name(p) == name and declared(p) for p in _of_kind(case, "Pod"))


def _targets(service: RawObject, pod: RawObject) -> set[Port]:
    """The numbers that a Service sends to this pod, if its labels are ever right; named ports are declared anyway."""
    ports = (service.get("spec") or {}).get("ports") or []
    same = service["metadata"].get("namespace") == pod["metadata"].get("namespace")
    found = {(p.get("targetPort", p["port"]), p.get("protocol", "TCP")) for p in ports}
    selector = (service.get("spec") or {}).get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    if not same or not selector or not selector.items() <= labels.items():
        return set()
    return {(number, protocol) for number, protocol in found if isinstance(number, int)}


def _of_kind(case: Case, kind: str) -> list[RawObject]:
    later = [item for step in case.steps for item in step.apply]
    return [item for item in (*case.cluster, *later) if item["kind"] == kind and (kind != "Pod" or "spec" in item)]


def _pod_name(pod: RawObject) -> str:
    return f"{pod['metadata'].get('namespace', 'default')}/{pod['metadata']['name']}"
