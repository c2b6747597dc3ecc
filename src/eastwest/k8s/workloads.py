"""Pods and what owns them: the owner chain to its top, and stand-ins for workloads that have no running pod.

`manifests` and `inventory` call it. Terminated pods have no address: they never stand for their workload.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from eastwest.k8s.fields import Fields, Reader, canonical_ip
from eastwest.k8s.raw import RawObject
from eastwest.k8s.selectors import selector
from eastwest.model.cluster import GENERATED_LABELS, ContainerPort, Origin, Pod
from eastwest.model.flow import Workload

TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
TERMINATED: Final = ("Succeeded", "Failed")
_CRON_JOB: Final = re.compile(r"(.+)-\d{8,}")


@dataclass(frozen=True, slots=True)
class Owner:
    """A workload object: its own owner (None at the top), its selector, and a stand-in for its pods."""

    workload: Workload
    parent: tuple[str, str] | None  # (kind, name)
    selector: Mapping[str, str] | None
    stand_in: Pod | None


def owner(reader: Reader) -> Owner:
    """A Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController, Job or CronJob."""
    raw = reader.raw
    workload = Workload(raw.namespace or "default", raw.kind, raw.name)
    top = reader.top()
    template = top
    for step in TEMPLATES[raw.kind]:
        template = template.inner(step)
    labels = template.inner("metadata").mapping("labels")
    chosen = _own_selector(top.inner("spec"), raw.kind, labels)
    if chosen is not None and any(labels.get(key) != value for key, value in chosen.items()):
        reader.say("warning", ("spec", "selector"), "does not match the labels of its own pod template")
    spec = template.inner("spec")
    stand_in = Pod(
        namespace=workload.namespace,
        name=workload.name,
        workload=workload,
        labels=labels,
        host_network=spec.boolean("hostNetwork"),
        ports=_ports(spec),
        selector=chosen,
        annotations=template.inner("metadata").mapping("annotations"),
        origin=Origin(raw.file, raw.line),
    )
    return Owner(workload, _controller(raw), chosen, stand_in if template.values else None)


def pod(reader: Reader) -> Pod:
    """A Pod object; its workload is its direct controller until `Owners.resolve`. Terminated pods have no address."""
    raw = reader.raw
    top = reader.top()
    spec, status, metadata = top.inner("spec"), top.inner("status"), top.inner("metadata")
    parent = _controller(raw) or ("Pod", raw.name)
    namespace = raw.namespace or "default"
    phase = status.text("phase") or None
    return Pod(
        namespace=namespace,
        name=raw.name,
        workload=Workload(namespace, *parent),
        uid=metadata.text("uid") or None,
        labels=metadata.mapping("labels"),
        ips=() if phase in TERMINATED else _pod_ips(status),
        node=spec.text("nodeName") or None,
        host_network=spec.boolean("hostNetwork"),
        ports=_ports(spec),
        phase=phase,
        annotations=metadata.mapping("annotations"),
        origin=Origin(raw.file, raw.line),
        ready=None if "deletionTimestamp" in metadata else _ready(status),
    )


def _ready(status: Fields) -> bool | None:
    """The condition Ready: what the readiness probes came to."""
    for condition in status.items("conditions"):
        if condition.text("type") == "Ready":
            return condition.text("status") == "True"
    return None


class Owners:
    """The known workload objects, by namespace, kind and name."""

    def __init__(self, owners: Iterable[Owner] = ()) -> None:
        self.by_name = {(o.workload.namespace, o.workload.kind, o.workload.name): o for o in owners}

    def top(self, direct: Workload, labels: Mapping[str, str]) -> tuple[Workload, Mapping[str, str] | None]:
        """The top of the chain from a pod's direct owner, and the selector of the highest owner that has one.

        Where an owner's object is missing, the names that its controller gives are read instead (a ReplicaSet is
        `<deployment>-<pod-template-hash>`, a CronJob's Job `<cronjob>-<digits>`).
        """
        current, chosen = direct, None
        for _ in range(8):
            known = self.by_name.get((current.namespace, current.kind, current.name))
            if known is not None and known.selector is not None:
                chosen = known.selector
            parent = known.parent if known is not None else _parent_by_name(current, labels)
            if parent is None:
                break
            current = Workload(current.namespace, *parent)
        return current, chosen

    def resolve(self, given: Pod) -> Pod:
        """The pod with the top of its owner chain as workload, and that owner's selector."""
        top, chosen = self.top(given.workload, given.labels)
        if top == given.workload and chosen == given.selector:
            return given
        return _with_owner(given, top, chosen)

    def stand_ins(self, pods: Iterable[Pod]) -> list[Pod]:
        """One pod for each top-level workload that owns none of `pods`."""
        owned = {p.workload for p in pods}
        return [
            o.stand_in
            for o in self.by_name.values()
            if o.stand_in is not None and o.workload not in owned and self.top(o.workload, {})[0] == o.workload
        ]


def _with_owner(given: Pod, workload: Workload, chosen: Mapping[str, str] | None) -> Pod:
    return Pod(
        given.namespace, given.name, workload, given.uid, given.labels, given.ips, given.node, given.host_network,
        given.ports, given.phase, chosen, given.annotations, given.origin,
    )  # fmt: skip


def _parent_by_name(current: Workload, labels: Mapping[str, str]) -> tuple[str, str] | None:
    if current.kind == "ReplicaSet":
        suffix = labels.get("pod-template-hash")
        if suffix and current.name.endswith(f"-{suffix}"):
            return "Deployment", current.name.removesuffix(f"-{suffix}")
    if current.kind == "Job":
        match = _CRON_JOB.fullmatch(current.name)
        if match:
            return "CronJob", match[1]
    return None


def _controller(raw: RawObject) -> tuple[str, str] | None:
    """(kind, name) of the controlling owner reference."""
    references = raw.metadata.get("ownerReferences")
    for reference in references if isinstance(references, list) else []:
        if isinstance(reference, dict) and reference.get("controller") is True:
            kind, name = reference.get("kind"), reference.get("name")
            if isinstance(kind, str) and isinstance(name, str) and kind != "Node":
                return kind, name
    return None


def _own_selector(spec: Fields, kind: str, labels: Mapping[str, str]) -> Mapping[str, str] | None:
    """matchLabels of the workload; the template's own labels where the kind has no selector that outlives a run."""
    if kind in ("Job", "CronJob"):
        return {key: value for key, value in labels.items() if key not in GENERATED_LABELS} or None
    if kind == "ReplicationController":
        return spec.mapping("selector") or dict(labels) or None
    found = selector(spec, "selector")
    if found is None:
        return None
    return {key: value for key, value in found.match_labels if key not in GENERATED_LABELS} or None


def _ports(spec: Fields) -> tuple[ContainerPort, ...]:
    """Ports of the containers, and of init containers that keep running (sidecars)."""
    out = []
    sidecars = [c for c in spec.items("initContainers") if c.values.get("restartPolicy") == "Always"]
    for container in [*spec.items("containers"), *sidecars]:
        for port in container.items("ports"):
            number = port.integer("containerPort", 1, 65535)
            if number is not None:
                protocol = port.choice("protocol", ("TCP", "UDP", "SCTP"), "TCP")
                out.append(ContainerPort(number, protocol, port.text("name") or None))
    return tuple(out)


def _pod_ips(status: Fields) -> tuple[str, ...]:
    given = [item.text("ip") for item in status.items("podIPs")] or [status.text("podIP")]
    out = []
    for text in given:
        ip = canonical_ip(text) if text else None
        if ip is not None:
            out.append(ip)
        elif text:
            status.error("podIPs", f"{text!r} is not an IP address")
    return tuple(out)
