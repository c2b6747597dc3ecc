"""The service map: who talks to whom."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from eastwest.api.models.coverage import Coverage
from eastwest.api.models.edge import TcpHealth, Verdict
from eastwest.api.models.prices import Cost, PricesUsed
from eastwest.api.models.window import Window

EndKind = Literal["workload", "pod", "node", "service", "aws", "internet", "unknown"]


class MapNode(BaseModel):
    id: str
    kind: EndKind
    namespace: str | None
    name: str = Field(description="the bare workload or pod name, node name, AWS service, or address group")
    zone: str | None = Field(description="null when unknown or when a workload spans several")
    workload: str | None = None
    workload_kind: str | None = None
    region: str | None = None
    pods: int | None = Field(None, description="pods seen behind a workload in this window")


class MapEdge(TcpHealth, Verdict, Cost):
    """One edge per (source, target, protocol, dst_port); source is the initiator, dst_port the backend's."""

    source: str
    target: str
    protocol: str
    dst_port: int
    service: str | None
    service_namespace: str | None = None
    service_port: int | None
    bytes_forward: int
    bytes_reverse: int
    packets_forward: int
    packets_reverse: int
    segments_forward: int
    segments_reverse: int
    connections: int
    connections_established: int
    first_seen_ns: int
    last_seen_ns: int
    reporter: Literal["client", "server", "unknown"] = Field(description="whose report the figures are")
    role_source: str
    category: str | None = Field(None, description="as in FlowRow; null when several are behind the edge")
    dst_dns_name: str | None = Field(None, description="a name by which the target was looked up")


class ServiceMap(BaseModel):
    window: Window
    level: Literal["workload", "pod"]
    nodes: list[MapNode]
    edges: list[MapEdge]
    coverage: Coverage
    prices: PricesUsed | None = None
