"""Services resolved to backends: EndpointSlice objects for those who read, frontends for the nodes' nftables. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from eastwest.lab.addresses import NodePlan
from eastwest.lab.controllers import is_ready, is_terminating
from eastwest.lab.nftables import Backend, Frontend
from eastwest.lab.watch import Objects

Json = dict[str, Any]


def pod_ips(pod: Json) -> list[str]:
    return [entry["ip"] for entry in (pod.get("status") or {}).get("podIPs") or []]


def container_port(pod: Json, target: int | str, protocol: str) -> int | None:
    """The number that a targetPort means in this pod; None when no container has a port of that name."""
    if isinstance(target, int) or str(target).isdigit():
        return int(target)
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port.get("name") == target and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return None


def selected(service: Json, pods: Iterable[Json]) -> list[Json]:
    """The pods of a Service that have addresses and are not over, in a stable order."""
    selector = service["spec"].get("selector")
    if not selector:
        return []
    found = [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == service["metadata"]["namespace"]
        and selector.items() <= (pod["metadata"].get("labels") or {}).items()
        and pod_ips(pod)
        and pod["status"]["phase"] not in ("Succeeded", "Failed")
    ]
    return sorted(found, key=lambda p: str(p["metadata"]["name"]))


def families(service: Json) -> list[int]:
    return [6 if f == "IPv6" else 4 for f in service["spec"].get("ipFamilies") or ["IPv4", "IPv6"]]


def slices(service: Json, pods: Sequence[Json], zones: dict[str, str]) -> list[Json]:
    """One EndpointSlice per family (and per set of port numbers, when named ports differ between pods)."""
    meta = service["metadata"]
    made = []
    for family in families(service):
        groups: dict[tuple[int | None, ...], list[Json]] = {}
        for pod in selected(service, pods):
            numbers = tuple(_target(service_port, pod) for service_port in service["spec"].get("ports") or [])
            groups.setdefault(numbers, []).append(pod)
        for index, (numbers, members) in enumerate(sorted(groups.items(), key=str)):
            name = f"{meta['name']}-v{family}" + (f"-{index}" if index else "")
            endpoints = [e for e in (_endpoint(service, pod, family, zones) for pod in members) if e is not None]
            ports = [
                {"name": p.get("name", ""), "protocol": p.get("protocol", "TCP"), "port": number}
                for p, number in zip(service["spec"].get("ports") or [], numbers, strict=True)
                if number is not None
            ]
            made.append({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": name,
                    "namespace": meta["namespace"],
                    "labels": {"kubernetes.io/service-name": meta["name"],
                               "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
                    "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"],
                                         "controller": True, "blockOwnerDeletion": True}],
                },
                "addressType": f"IPv{family}",
                "endpoints": endpoints,
                "ports": ports,
            })  # fmt: skip
    return made


def _target(service_port: Json, pod: Json) -> int | None:
    target: int | str = service_port.get("targetPort") or service_port["port"]
    return container_port(pod, target, service_port.get("protocol", "TCP"))


def _endpoint(service: Json, pod: Json, family: int, zones: dict[str, str]) -> Json | None:
    addresses = [ip for ip in pod_ips(pod) if (":" in ip) == (family == 6)]
    if not addresses:
        return None
    ready, terminating = is_ready(pod), is_terminating(pod)
    node = pod["spec"]["nodeName"]
    endpoint: Json = {
        "addresses": addresses,
        "conditions": {"ready": ready and not terminating, "serving": ready, "terminating": terminating},
        "targetRef": {"kind": "Pod", "namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"],
                      "uid": pod["metadata"]["uid"]},
        "nodeName": node,
        "zone": zones[node],
    }  # fmt: skip
    if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == service["metadata"]["name"]:
        endpoint["hostname"] = pod["spec"]["hostname"]
    return endpoint


def with_manual_endpoints(service: Json, objects: Objects) -> Json:
    """The Service with the subsets of its Endpoints object under `manual`, where it has no selector of its own."""
    meta, spec = service["metadata"], service["spec"]
    found = None if spec.get("selector") else objects.get("Endpoints", meta["namespace"], meta["name"])
    return service if found is None else {**service, "manual": found.get("subsets") or []}


def _manual_backends(service: Json, port: Json, family: int) -> tuple[Backend, ...]:
    """Of a Service's port, by its name, as an Endpoints object lists them."""
    return tuple(
        (address["ip"], int(entry["port"]))
        for subset in service.get("manual") or []
        for entry in subset.get("ports") or []
        if entry.get("name", "") == port.get("name", "") and entry.get("protocol", "TCP") == port.get("protocol", "TCP")
        for address in subset.get("addresses") or []
        if (":" in address["ip"]) == (family == 6)
    )


def frontends(service: Json, pods: Sequence[Json], node: NodePlan) -> list[Frontend]:
    """What `node` must translate for one Service."""
    spec = service["spec"]
    if spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName":
        return []
    ready = [p for p in selected(service, pods) if is_ready(p) and not is_terminating(p)]
    local_only = spec.get("externalTrafficPolicy") == "Local"
    local = [p for p in ready if p["spec"]["nodeName"] == node.name]
    near = local if spec.get("internalTrafficPolicy") == "Local" else ready
    ingress = [entry["ip"] for entry in (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or []]
    outside = [*ingress, *(spec.get("externalIPs") or [])]
    made = []
    for port in spec.get("ports") or []:
        protocol = port.get("protocol", "TCP").lower()
        for family in families(service):
            manual = _manual_backends(service, port, family)
            inner = manual + _backends(near, port, family)
            outer = manual + _backends(local if local_only else ready, port, family)
            made += [
                Frontend(address, port["port"], protocol, family, inner)
                for address in _of(family, spec.get("clusterIPs") or [])
            ]
            made += [
                Frontend(address, port["port"], protocol, family, outer, True, not local_only)
                for address in _of(family, outside)
            ]
            if port.get("nodePort"):
                made.append(Frontend(None, port["nodePort"], protocol, family, outer, True, not local_only))
    return made


def _of(family: int, addresses: Iterable[str]) -> list[str]:
    return [a for a in addresses if (":" in a) == (family == 6)]


def _backends(pods: Iterable[Json], port: Json, family: int) -> tuple[Backend, ...]:
    found = []
    for pod in pods:
        number = _target(port, pod)
        if number is not None:
            found += [(ip, number) for ip in pod_ips(pod) if (":" in ip) == (family == 6)]
    return tuple(found)
