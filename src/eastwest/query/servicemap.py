"""The service map: nodes with stable ids, and one edge per (source, target, protocol, server port)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from eastwest.model.flow import protocol_name
from eastwest.model.prices import PriceTable
from eastwest.query.health import health
from eastwest.query.verdicts import verdict
from eastwest.store.predicates import Predicate
from eastwest.store.protocol import Store
from eastwest.store.questions import Edges, Level, Range

Row = dict[str, Any]

_SUMS: Final = (
    "bytes_forward",
    "bytes_reverse",
    "packets_forward",
    "packets_reverse",
    "segments_forward",
    "segments_reverse",
    "connections",
    "connections_established",
    "first_seen_ns",
    "last_seen_ns",
    "reporter",
    "role_source",
    "category",
    "dst_dns_name",
    "cost",
    "unpriced_bytes",
    "unpriced_reason",
)


@dataclass(slots=True)
class _Node:
    """What is known of one node from the edges that touch it."""

    kind: str
    namespace: str | None
    name: str
    workload_kind: str | None
    region: str | None
    pods: set[str] = field(default_factory=set)
    zones: set[str] = field(default_factory=set)
    owner: str | None = None
    owner_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Map:
    """Rows whose fields are those of the API's MapNode and MapEdge."""

    nodes: list[Row]
    edges: list[Row]


def node_id(kind: str, namespace: str, workload_kind: str, region: str, name: str) -> str:
    """The same for the same thing in every answer: workload:ns/Kind/name, pod:ns/name, node:name, aws:S3/us-east-1 …"""
    match kind:
        case "workload":
            return f"workload:{namespace}/{workload_kind}/{name}"
        case "pod" | "service":
            return f"{kind}:{namespace}/{name}"
        case "aws":
            return f"aws:{name}/{region}" if region else f"aws:{name}"
        case _:
            return f"{kind}:{name}"


def service_map(store: Store, range_: Range, level: Level, where: Predicate, prices: PriceTable | None = None) -> Map:
    """Ask for the edges and gather the nodes at their ends, both in a stable order."""
    nodes: dict[str, _Node] = {}
    edges = []
    for row in store.ask(Edges(range_, level, where, prices)).to_pylist():
        via, protocol = row["via"], protocol_name(row["protocol"])
        port = f"{protocol} {row['dst_port']}" if row["dst_port"] else protocol
        edges.append(
            {
                "source": _note(nodes, row, "source"),
                "target": _note(nodes, row, "target"),
                "protocol": protocol,
                "dst_port": row["dst_port"],
                "service_namespace": via["1"],
                "service": via["2"],
                "service_port": via["3"],
                **{name: row[name] for name in _SUMS},
                **health(row),
                **verdict(row, _label(row, "source"), _label(row, "target"), port),
            }
        )
    edges.sort(key=lambda e: (e["source"], e["target"], e["protocol"], e["dst_port"]))
    return Map([_node_row(id_, nodes[id_]) for id_ in sorted(nodes)], edges)


def _label(row: Row, end: str) -> str:
    """An end as policies speak of it."""
    namespace, name = row[f"{end}_namespace"], row[f"{end}_name"]
    return f"{namespace}/{name}" if namespace else str(name)


def _note(nodes: dict[str, _Node], row: Row, end: str) -> str:
    """The id of one end of an edge, whose node is remembered."""
    kind, namespace, name = row[f"{end}_kind"], row[f"{end}_namespace"], row[f"{end}_name"]
    workload_kind, region = row[f"{end}_workload_kind"], row[f"{end}_region"]
    id_ = node_id(kind, namespace, workload_kind, region, name)
    node = nodes.get(id_)
    if node is None:
        node = nodes[id_] = _Node(kind, namespace or None, name, workload_kind or None, region or None)
    node.pods.update(row.get(f"{end}_pods", ()))
    node.zones.update(zone for zone in (row[f"{end}_first_zone"], row[f"{end}_last_zone"]) if zone is not None)
    node.owner = node.owner or row.get(f"{end}_owner")
    node.owner_kind = node.owner_kind or row.get(f"{end}_owner_kind")
    return id_


def _node_row(id_: str, node: _Node) -> Row:
    return {
        "id": id_,
        "kind": node.kind,
        "namespace": node.namespace,
        "name": node.name,
        "zone": next(iter(node.zones)) if len(node.zones) == 1 else None,
        "workload": node.name if node.kind == "workload" else node.owner,
        "workload_kind": node.workload_kind or node.owner_kind,
        "region": node.region,
        "pods": len(node.pods) if node.kind == "workload" else None,
    }
