"""What the API server does to an object before it exists: checks and defaults, as far as the lab depends on them."""

from __future__ import annotations

import copy
import ipaddress
from typing import Any, Final

from eastwest.k8s.raw import FieldPath, RawObject
from eastwest.lab.addresses import (
    DNS_V4,
    DNS_V6,
    LOAD_BALANCERS_V4,
    LOAD_BALANCERS_V6,
    NODE_PORTS,
    SERVICE_V4,
    SERVICE_V6,
    Pool,
)
from eastwest.lab.schedule import parse as parse_schedule
from eastwest.lab.state import LabError
from eastwest.lab.watch import CLUSTER_SCOPED, Objects
from eastwest.lab.workload import calls

Json = dict[str, Any]
WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
API_VERSIONS: Final = {
    "Namespace": "v1",
    "Pod": "v1",
    "Node": "v1",
    "Service": "v1",
    "Endpoints": "v1",
    "ServiceAccount": "v1",
    "ConfigMap": "v1",
    "Secret": "v1",
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
}
"""Kinds that `lab apply` takes; anything else is kept out with a message."""


def pod_template(body: Json) -> tuple[Json | None, FieldPath]:
    """The pod template (or the Pod itself) inside an object, and where it stands."""
    if body["kind"] == "Pod":
        return body, ()
    if body["kind"] == "CronJob":
        path: FieldPath = ("spec", "jobTemplate", "spec", "template")
    elif body["kind"] in WORKLOADS:
        path = ("spec", "template")
    else:
        return None, ()
    found: Any = body
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None, path


def only_lists_files(raw: RawObject) -> bool:
    """A Kustomization that names the files beside it, as `policy generate` writes: nothing to store. Raises LabError for
    one that would change them."""
    if raw.kind != "Kustomization" or not raw.api_version.startswith("kustomize.config.k8s.io/"):
        return False
    more = sorted(set(raw.body) - {"apiVersion", "kind", "metadata", "resources"})
    if more:
        message = "the lab builds no kustomizations; write the result of `kubectl kustomize` to a file, and apply that"
        raise LabError(str(raw.problem("error", (more[0],), message)))
    return True


def check(raw: RawObject) -> Json:
    """A copy ready to be stored, namespace filled in. Raises LabError naming file, line and field."""

    def bad(path: FieldPath, message: str) -> LabError:
        return LabError(str(raw.problem("error", path, message)))

    body: Json = copy.deepcopy(dict(raw.body))
    if raw.kind not in API_VERSIONS:
        raise bad(("kind",), f"the lab has no {raw.kind}; it takes {', '.join(API_VERSIONS)}")
    if raw.api_version != API_VERSIONS[raw.kind]:
        raise bad(("apiVersion",), f"{raw.kind} is {API_VERSIONS[raw.kind]} here, not {raw.api_version}")
    if not raw.name:
        raise bad(("metadata", "name"), "is missing")
    body["metadata"].pop("uid", None)
    if raw.kind not in CLUSTER_SCOPED:
        body["metadata"].setdefault("namespace", "default")
    template, path = pod_template(body)
    if template is not None:
        _check_pod(template, path, bad)
        if path:
            _check_workload(body, template, bad)
    elif path:
        raise bad(path, "is missing")
    if raw.kind == "Service":
        _check_service(body.get("spec"), bad)
    if raw.kind == "CronJob":
        try:
            parse_schedule(str(body["spec"].get("schedule")))
        except LabError as error:
            raise bad(("spec", "schedule"), str(error)) from None
    text = (body["metadata"].get("annotations") or {}).get(calls.CLIENTS_ANNOTATION)
    if text is not None:
        _check_calls(text, ("metadata", "annotations", calls.CLIENTS_ANNOTATION), bad, "load-balancer")
    return body


def _check_pod(template: Json, path: FieldPath, bad: Any) -> None:
    meta = template.setdefault("metadata", {})
    containers = (template.get("spec") or {}).get("containers")
    if not isinstance(containers, list) or not containers:
        raise bad((*path, "spec", "containers"), "needs at least one container")
    for index, container in enumerate(containers):
        at = (*path, "spec", "containers", index)
        if not isinstance(container, dict) or not container.get("name"):
            raise bad((*at, "name"), "is missing")
        for number, port in enumerate(container.get("ports") or []):
            value = port.get("containerPort") if isinstance(port, dict) else None
            if not isinstance(value, int) or not 0 < value < 65536:
                raise bad((*at, "ports", number, "containerPort"), "must be a number from 1 to 65535")
            if port.get("protocol", "TCP") not in ("TCP", "UDP", "SCTP"):
                raise bad((*at, "ports", number, "protocol"), "must be TCP, UDP or SCTP")
    text = (meta.get("annotations") or {}).get(calls.ANNOTATION)
    if text is not None:
        _check_calls(text, (*path, "metadata", "annotations", calls.ANNOTATION), bad, None)


def _check_service(spec: Any, bad: Any) -> None:
    if not isinstance(spec, dict):
        raise bad(("spec",), "is missing")
    if spec.get("type", "ClusterIP") not in ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"):
        raise bad(("spec", "type"), "must be ClusterIP, NodePort, LoadBalancer or ExternalName")
    if spec.get("type") == "ExternalName" and not spec.get("externalName"):
        raise bad(("spec", "externalName"), "is missing")
    for index, port in enumerate(spec.get("ports") or []):
        at = ("spec", "ports", index)
        for key in ("port", "nodePort") if "nodePort" in port else ("port",):
            if not isinstance(port.get(key), int) or not 0 < port[key] < 65536:
                raise bad((*at, key), "must be a number from 1 to 65535")
        if port.get("protocol", "TCP") not in ("TCP", "UDP", "SCTP"):
            raise bad((*at, "protocol"), "must be TCP, UDP or SCTP")
        if len(spec["ports"]) > 1 and not port.get("name"):
            raise bad((*at, "name"), "is needed when there are several ports")


def _check_workload(body: Json, template: Json, bad: Any) -> None:
    spec = body["spec"]
    replicas = spec.get("replicas", 1)
    if not isinstance(replicas, int) or replicas < 0:
        raise bad(("spec", "replicas"), "must be a whole number from 0")
    if body["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        wanted = (spec.get("selector") or {}).get("matchLabels") or {}
        if not wanted and not (spec.get("selector") or {}).get("matchExpressions"):
            raise bad(("spec", "selector"), "is missing or empty")
        labels = (template.get("metadata") or {}).get("labels") or {}
        if not wanted.items() <= labels.items():
            raise bad(("spec", "selector", "matchLabels"), "does not match the labels of the pod template")


def _ingress(service: Json) -> list[str]:
    return [e["ip"] for e in (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or []]


def _check_calls(text: str, path: FieldPath, bad: Any, default_host: str | None) -> None:
    try:
        calls.parse(text, default_host=default_host)
    except LabError as error:
        raise bad(path, str(error)) from None


class ServiceDefaults:
    """Hands out cluster addresses, node ports and load balancer addresses; both families unless told otherwise."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._cluster = Pool(256, 65279)
        self._cluster.used.add(10)
        self._node_ports = Pool(NODE_PORTS.start, NODE_PORTS.stop - 1)
        self._balancers = Pool(10, 250)

    def fill(self, service: Json) -> Json:
        """Complete a Service as the API server would, keeping what it already had."""
        meta, spec = service["metadata"], service.setdefault("spec", {})
        old = self._objects.get("Service", meta["namespace"], meta["name"])
        before: Json = old["spec"] if old else {}
        spec.setdefault("type", "ClusterIP")
        if spec["type"] == "ExternalName":
            return service
        if spec.get("ipFamilyPolicy") == "SingleStack":
            spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
        spec.setdefault("ipFamilyPolicy", "PreferDualStack")
        if spec.get("clusterIP") == "None":
            spec["clusterIPs"] = ["None"]
        elif before.get("clusterIPs") and not spec.get("clusterIP"):
            spec["clusterIP"], spec["clusterIPs"] = before["clusterIP"], before["clusterIPs"]
        elif not spec.get("clusterIPs"):
            spec["clusterIPs"] = self._cluster_ips(spec)
            spec["clusterIP"] = spec["clusterIPs"][0]
        external = spec["type"] in ("NodePort", "LoadBalancer")
        for port in spec.get("ports") or []:
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port["port"])
            if external and not port.get("nodePort"):
                same = [p for p in before.get("ports") or [] if p["port"] == port["port"] and p.get("nodePort")]
                port["nodePort"] = same[0]["nodePort"] if same else self._node_ports.take()
        if external:
            spec.setdefault("externalTrafficPolicy", "Cluster")
        service["status"] = self._status(spec, old)
        return service

    def release(self, service: Json) -> None:
        """Give back the addresses of a Service that was deleted."""
        spec = service["spec"]
        for address in [*(spec.get("clusterIPs") or []), *_ingress(service)]:
            if address != "None" and "." in address:
                number = int(ipaddress.IPv4Address(address))
                self._cluster.give_back(number - int(SERVICE_V4.network_address))
                self._balancers.give_back(number - int(LOAD_BALANCERS_V4.network_address))
        for port in spec.get("ports") or []:
            self._node_ports.give_back(port.get("nodePort", 0))

    def _cluster_ips(self, spec: Json) -> list[str]:
        if spec.get("clusterIP") == DNS_V4:
            return [DNS_V4, DNS_V6]
        if spec.get("clusterIP"):
            return [spec["clusterIP"]]
        offset = self._cluster.take()
        pick = {"IPv4": str(SERVICE_V4[offset]), "IPv6": str(SERVICE_V6[offset])}
        return [pick[f] for f in spec["ipFamilies"]]

    def _status(self, spec: Json, old: Json | None) -> Json:
        if spec["type"] != "LoadBalancer":
            return {"loadBalancer": {}}
        if old and (old.get("status") or {}).get("loadBalancer", {}).get("ingress"):
            return dict(old["status"])
        number = self._balancers.take()
        pick = {"IPv4": str(LOAD_BALANCERS_V4[number]), "IPv6": str(LOAD_BALANCERS_V6[number])}
        return {"loadBalancer": {"ingress": [{"ip": pick[f]} for f in spec["ipFamilies"]]}}
