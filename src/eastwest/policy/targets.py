"""How people name the ends of a connection: `ns/pod`, `ns/workload`, `svc:ns/name`, `node:name`, an address.

`resolve` turns such a word into ends of the engine; a Service becomes its backends at their own port.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from eastwest.model.cluster import Service
from eastwest.policy.addresses import AddressSet
from eastwest.policy.ends import End
from eastwest.policy.engine import Engine
from eastwest.policy.services import backends, service_at


class UnknownTargetError(ValueError):
    """A word that names nothing in the cluster; the message says what would."""


@dataclass(frozen=True, slots=True)
class Target:
    """One end. `port` is the port at this end (after DNAT for a Service); `via` names the Service."""

    label: str
    end: End
    port: int
    via: str | None = None


def resolve(engine: Engine, word: str, port: int = 0, protocol: str = "TCP", *, literal: bool = False) -> list[Target]:
    """The ends that a word stands for. Raises UnknownTargetError.

    `literal`: take an address as it is on the wire, even if it belongs to a Service (for sources).
    """
    kind, _, name = word.partition(":")
    if kind == "svc" and "/" in name:
        return _service(engine, _find_service(engine, name), port, protocol)
    if kind == "node":
        return _node(engine, name, port)
    try:
        address = str(ipaddress.ip_address(word))
    except ValueError:
        return [Target(_label(engine, end), end, port) for end in _pods(engine, word)]
    service = None if literal else service_at(engine, address)
    if service is not None:
        return _service(engine, service, port, protocol)
    end = engine.ends.address(address)
    return [Target(_label(engine, end), end, port)]


def _pods(engine: Engine, word: str) -> list[End]:
    namespace, slash, name = word.partition("/")
    if not slash:
        raise UnknownTargetError(f"{word!r}: expected ns/pod, ns/workload, svc:ns/name, node:name or an IP address")
    try:
        return [engine.ends.pod(namespace, name)]
    except KeyError:
        pods = engine.universe.pods
        mine = [i for i, p in enumerate(pods) if (p.workload.namespace, p.workload.name) == (namespace, name)]
        if mine:
            return [engine.ends.pod_at(i) for i in _distinct(engine, mine)]
    known = {f"{p.namespace}/{p.name}" for p in pods} | {f"{p.namespace}/{p.workload.name}" for p in pods}
    raise UnknownTargetError(f"no pod or workload {word!r}{_nearest(word, known)}")


def _distinct(engine: Engine, pods: Iterable[int]) -> Iterator[int]:
    """One pod for each way in which the pods of a workload can be treated."""
    of_pod, node = engine.identities.of_pod, engine.universe.pod_node
    seen = set()
    for p in pods:
        key = (int(of_pod[4][p]), int(of_pod[6][p]), int(node[p]), engine.ends.families_of_pod(p))
        if key not in seen and engine.universe.live[p]:
            seen.add(key)
            yield p


def _find_service(engine: Engine, name: str) -> Service:
    services = {f"{s.namespace}/{s.name}": s for s in engine.universe.cluster.services}
    if name not in services:
        raise UnknownTargetError(f"no Service {name!r}{_nearest(name, services)}")
    return services[name]


def _service(engine: Engine, service: Service, port: int, protocol: str) -> list[Target]:
    name = f"{service.namespace}/{service.name}"
    out = [
        Target(_label(engine, end), end, target, via=f"svc:{name} port {port}")
        for end, target in backends(engine, service, port, protocol)
    ]
    if not out:
        ports = ", ".join(f"{p.port}/{p.protocol}" for p in service.ports) or "none"
        raise UnknownTargetError(f"Service {name} has no backend for {port}/{protocol}; its ports: {ports}")
    return out


def _node(engine: Engine, name: str, port: int) -> list[Target]:
    try:
        ends = engine.ends.node(name)
    except KeyError:
        raise UnknownTargetError(f"no node {name!r}{_nearest(name, engine.universe.node_index)}") from None
    if not ends:
        raise UnknownTargetError(f"node {name!r} has no address in status.addresses")
    return [Target(f"node:{name}", end, port) for end in ends]


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _label(engine: Engine, end: End) -> str:
    if end.pod is not None:
        pod = engine.universe.pods[end.pod]
        return f"{pod.namespace}/{pod.name}"
    if end.node is not None:
        return "node:" + next(n for n, i in engine.universe.node_index.items() if i == end.node)
    assert end.address is not None
    family, value = end.address
    single = ((value, value),)
    cidr = next(AddressSet(v4=single).cidrs() if family == 4 else AddressSet(v6=single).cidrs())
    return cidr.partition("/")[0]
