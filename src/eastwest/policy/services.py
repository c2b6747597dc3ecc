"""What stands behind a Service: policies see the backend and its port, never the Service's own address or port."""

from __future__ import annotations

from collections.abc import Iterator

from eastwest.model.cluster import Pod, Service, ServicePort
from eastwest.policy.ends import End
from eastwest.policy.engine import Engine


def backends(engine: Engine, service: Service, port: int, protocol: str) -> Iterator[tuple[End, int]]:
    """Every (backend, port) that a connection to `port` of the Service may be translated to.

    Nothing for a port the Service does not have, for ExternalName, and for pods that lack a named target port.
    """
    for entry in service.ports:
        if entry.port == port and entry.protocol == protocol:
            for end in _ends(engine, service):
                target = _target_port(entry, engine.universe.pods[end.pod] if end.pod is not None else None)
                if target is not None:
                    yield end, target


def service_at(engine: Engine, address: str) -> Service | None:
    """The Service that owns a cluster address or a load balancer address."""
    for service in engine.universe.cluster.services:
        if address in service.cluster_ips or address in service.load_balancer_ips:
            return service
    return None


def _ends(engine: Engine, service: Service) -> Iterator[End]:
    if not service.selector:
        yield from map(engine.ends.address, service.endpoint_ips)
        return
    wanted = service.selector.items()
    for i, pod in enumerate(engine.universe.pods):
        if engine.universe.live[i] and pod.namespace == service.namespace and wanted <= pod.labels.items():
            yield engine.ends.pod_at(i)


def _target_port(entry: ServicePort, pod: Pod | None) -> int | None:
    if entry.target_port is None:
        return entry.port
    if isinstance(entry.target_port, int):
        return entry.target_port
    ports = pod.ports if pod is not None else ()
    return next((p.port for p in ports if p.name == entry.target_port and p.protocol == entry.protocol), None)
