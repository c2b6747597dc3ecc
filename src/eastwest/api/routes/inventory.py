"""The cluster's objects."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Query

from eastwest.api.models.inventory import (
    Inventory,
    InventoryNode,
    InventoryPod,
    InventoryPort,
    InventoryService,
    InventoryWorkload,
)
from eastwest.api.parameters import KnownOnly
from eastwest.api.problems import RESPONSES
from eastwest.api.services import Given
from eastwest.model.cluster import Pod, Service
from eastwest.query.timerange import instant_ns

router = APIRouter(tags=["inventory"])


@router.get("/api/v1/inventory", operation_id="inventory", responses=RESPONSES, dependencies=[KnownOnly])
def inventory(
    services: Given, at: Annotated[str | None, Query(description="RFC 3339; now when omitted")] = None
) -> Inventory:
    """Namespaces, nodes, workloads, pods and services as known at one moment."""
    at_ns = services.now_ns() if at is None else instant_ns(at, "at")
    state = services.inventory.state_at(at_ns)
    zones = {node.name: node.zone for node in state.nodes}
    running = Counter(pod.workload for pod in state.pods if pod.uid)
    return Inventory(
        as_of_ns=at_ns,
        source=services.inventory_source,
        namespaces=sorted(n.name for n in state.namespaces),
        nodes=[
            InventoryNode(name=n.name, zone=n.zone, region=n.region, ips=list(n.ips))
            for n in sorted(state.nodes, key=lambda n: n.name)
        ],
        workloads=[
            InventoryWorkload(namespace=w.namespace, kind=w.kind, name=w.name, pods=running[w])
            for w in sorted({pod.workload for pod in state.pods})
        ],
        pods=[_pod(p, zones) for p in sorted(state.pods, key=lambda p: (p.namespace, p.name)) if p.uid],
        services=[_service(s) for s in sorted(state.services, key=lambda s: (s.namespace, s.name))],
    )


def _pod(pod: Pod, zones: dict[str, str | None]) -> InventoryPod:
    return InventoryPod(
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.uid,
        workload=pod.workload.name,
        workload_kind=pod.workload.kind,
        node=pod.node,
        zone=zones.get(pod.node) if pod.node else None,
        ips=list(pod.ips),
        host_network=pod.host_network,
        phase=pod.phase,
    )


def _service(service: Service) -> InventoryService:
    ports = [
        InventoryPort(port=p.port, protocol=p.protocol, name=p.name, target_port=p.target_port) for p in service.ports
    ]
    return InventoryService(
        namespace=service.namespace,
        name=service.name,
        type=service.type,
        cluster_ips=list(service.cluster_ips),
        ports=ports,
    )
