"""Says of a call to a Service that nobody answered what became of it behind the Service, where the other end's node tells. Pure.

The client's node reports such a call under the Service's address when it cannot see the translation (no `--enforce` there); the
node of the backend that denied it reports the same packets under the backend. Neither row is changed in its figures, and which
packet is which is not guessed: only what stands beside it in the same answer is said. docs/decisions/0163.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eastwest.model.cluster import ClusterState, Pod, Service, ServicePort

Row = dict[str, Any]


def explain(edges: Iterable[Row], state: ClusterState) -> None:
    """Fill in `missing` of the map's edges to Services that nobody answered and nobody decided about."""
    rows = list(edges)
    denied: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["verdict"] in ("denied", "partly"):
            denied.setdefault((row["source"], row["protocol"]), []).append(row)
    if not denied:
        return
    services = {f"service:{s.namespace}/{s.name}": s for s in state.services}
    for row in rows:
        service = services.get(row["target"])
        if service is None or row["verdict"] is not None or row["packets_reverse"]:
            continue
        behind = _behind(service, row["dst_port"], row["protocol"], state.pods)
        found = {
            d["missing"]
            for d in denied.get((row["source"], row["protocol"]), ())
            if (d["target"], d["dst_port"]) in behind
        }
        reasons = sorted(reason for reason in found if reason)
        if reasons:
            row["missing"] = f"unanswered: the other end denied it: {'; '.join(reasons)}"


def _behind(service: Service, port: int, protocol: str, pods: Iterable[Pod]) -> set[tuple[str, int]]:
    """(id of a node of the map, port) of every workload and pod that the Service sends this port to."""
    entry = next((p for p in service.ports if (p.port, p.protocol) == (port, protocol)), None)
    if entry is None:
        return set()
    found = set()
    for pod in pods:
        target = _port_of(entry, pod)
        if target is not None and _selects(service, pod):
            owner = pod.workload
            found.add((f"workload:{owner.namespace}/{owner.kind}/{owner.name}", target))
            found.add((f"pod:{pod.namespace}/{pod.name}", target))
    return found


def _selects(service: Service, pod: Pod) -> bool:
    if service.selector:
        return pod.namespace == service.namespace and service.selector.items() <= pod.labels.items()
    return not set(service.endpoint_ips).isdisjoint(pod.ips)


def _port_of(entry: ServicePort, pod: Pod) -> int | None:
    """Where a pod gets it; None: it has no port of that name."""
    if entry.target_port is None:
        return entry.port
    if isinstance(entry.target_port, int):
        return entry.target_port
    return next((p.port for p in pod.ports if (p.name, p.protocol) == (entry.target_port, entry.protocol)), None)
