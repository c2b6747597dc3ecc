"""What a pod's manifest means for its processes: program, environment, /etc files, status. Pure but for `write_etc`."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from eastwest.lab.addresses import DNS_V4, NodePlan
from eastwest.lab.watch import rfc3339
from eastwest.lab.workload import calls

Json = dict[str, Any]
PROGRAM: Final = "eastwest.lab/program"
PINNED_IPS: Final = "eastwest.lab/ips"
_REFERENCE: Final = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


def host_link(uid: str) -> str:
    """Name of the node's end of a pod's link."""
    return "veth" + uid.replace("-", "")[:10]


def write_etc(folder: Path, pod: Json, ips: Sequence[str], dns: str = DNS_V4) -> Path:
    """The files that the pod sees as /etc/resolv.conf (asking `dns`), hosts and hostname. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    spec, namespace = pod["spec"], pod["metadata"]["namespace"]
    config = spec.get("dnsConfig") or {}
    if spec.get("dnsPolicy", "ClusterFirst") in ("ClusterFirst", "ClusterFirstWithHostNet"):
        search = [
            f"{namespace}.svc.cluster.local",
            "svc.cluster.local",
            "cluster.local",
            *(config.get("searches") or []),
        ]
        servers = [dns, *(config.get("nameservers") or [])]
        given = {o["name"]: o.get("value") for o in config.get("options") or []}
        options = " ".join(k if v is None else f"{k}:{v}" for k, v in {"ndots": "5", **given}.items())
        text = f"search {' '.join(search)}\n" + "".join(f"nameserver {s}\n" for s in servers) + f"options {options}\n"
    else:
        text = "".join(f"nameserver {s}\n" for s in config.get("nameservers") or [])
    (folder / "resolv.conf").write_text(text)
    name = hostname(pod)
    hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n" + "".join(f"{ip} {name}\n" for ip in ips)
    (folder / "hosts").write_text(hosts)
    (folder / "hostname").write_text(name + "\n")
    return folder


def hostname(pod: Json) -> str:
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])[:63]


def environment(pod: Json, container: Json, ips: Sequence[str], node: NodePlan) -> dict[str, str]:
    """`env` with plain values and fieldRef; what refers to secrets or config maps is left out."""
    meta = pod["metadata"]
    fields = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.nodeName": node.name,
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": ips[0],
        "status.podIPs": ",".join(ips),
        "status.hostIP": node.ipv4,
    }
    found = {"HOSTNAME": hostname(pod)}
    for entry in container.get("env") or []:
        source = (entry.get("valueFrom") or {}).get("fieldRef") or {}
        if "value" in entry:
            found[entry["name"]] = expand(str(entry["value"] or ""), found)
        elif source.get("fieldPath") in fields:
            found[entry["name"]] = fields[source["fieldPath"]]
    return found


def expand(text: str, env: Mapping[str, str]) -> str:
    """$(NAME) in commands and values; an unknown name stays as it is (Kubernetes API: Container.command)."""
    return _REFERENCE.sub(lambda m: env.get(m[1], m[0]), text)


def program(pod: Json, container: Json, ips: Sequence[str], env: Mapping[str, str], zone: Path, go: Path) -> Json:
    """The part of a container's spec that says what to run (see `container.main_container`)."""
    if container.get("command"):
        words = [*container["command"], *(container.get("args") or [])]
        return {"argv": [expand(str(w), env) for w in words], "cwd": container.get("workingDir")}
    meta = pod["metadata"]
    annotations = meta.get("annotations") or {}
    ports = [(p["containerPort"], p.get("protocol", "TCP")) for p in container.get("ports") or []]
    owner = (meta.get("ownerReferences") or [{}])[0]
    return {
        "app": {
            "ports": [p for p in ports if p[1] != "SCTP"],
            "sctp": sctp_ports(pod) if container is caller(pod) else None,
            "host_network": bool(pod["spec"].get("hostNetwork")),
            "calls": annotations.get(calls.ANNOTATION) if container is caller(pod) else None,
            "once": owner.get("kind") == "Job",
            "program": annotations.get(PROGRAM),
            "zone": str(zone),
            "go": str(go),
            "ips": list(ips),
        }
    }


def caller(pod: Json) -> Json | None:
    """The container that makes the pod's declared calls: the first without a command; None when all have one."""
    found: Json | None = next((c for c in pod["spec"]["containers"] if not c.get("command")), None)
    return found


def sctp_ports(pod: Json) -> list[int]:
    """The SCTP ports of all containers without a command: one process serves them, as one kernel would."""
    return [
        int(p["containerPort"])
        for c in pod["spec"]["containers"]
        for p in c.get("ports") or []
        if p.get("protocol") == "SCTP" and not c.get("command")
    ]


def choose_node(pod: Json, nodes: Sequence[NodePlan], labels: Mapping[str, Json], pods: Sequence[Json]) -> NodePlan:
    """nodeName, else the node that matches nodeSelector with the fewest pods of the same owner, then the fewest pods.

    Raises LookupError when no node fits.
    """
    spec = pod["spec"]
    wanted = spec.get("nodeSelector") or {}
    fitting = [
        n for n in nodes
        if spec.get("nodeName") in (None, n.name) and wanted.items() <= labels[n.name].items()
    ]  # fmt: skip
    if not fitting:
        raise LookupError(f"no node fits nodeName {spec.get('nodeName')!r} and nodeSelector {wanted}")
    owner = _owner(pod)
    alike = {n.name: 0 for n in nodes}
    total = dict(alike)
    for other in pods:
        name = other["spec"].get("nodeName")
        if name in total:
            total[name] += 1
            alike[name] += owner is not None and _owner(other) == owner
    return min(fitting, key=lambda n: (alike[n.name], total[n.name], n.index))


def _owner(pod: Json) -> str | None:
    references = pod["metadata"].get("ownerReferences") or []
    return references[0]["uid"] if references else None


def status(
    pod: Json, phase: str, ips: Sequence[str], node: NodePlan, containers: Sequence[Json], *, ready: bool
) -> Json:
    """The status block. `containers`: containerStatuses entries."""
    now = rfc3339(time.time_ns())
    before = {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or []}

    def condition(type_: str, value: bool) -> Json:
        text = "True" if value else "False"
        old = before.get(type_)
        since = old["lastTransitionTime"] if old and old["status"] == text else now
        return {"type": type_, "status": text, "lastTransitionTime": since}

    started = phase != "Pending"
    return {
        "phase": phase,
        "conditions": [
            condition("PodScheduled", True),
            condition("Initialized", started),
            condition("ContainersReady", ready),
            condition("Ready", ready),
        ],
        "hostIP": node.ipv4,
        "hostIPs": [{"ip": node.ipv4}, {"ip": node.ipv6}],
        "podIP": ips[0],
        "podIPs": [{"ip": ip} for ip in ips],
        "startTime": (pod.get("status") or {}).get("startTime", now),
        "containerStatuses": list(containers),
    }
