"""The flow table and its pages."""

from __future__ import annotations

from pydantic import BaseModel, Field

from eastwest.api.models.edge import TcpHealth, Verdict
from eastwest.api.models.prices import Cost, PricesUsed
from eastwest.api.models.window import Incomplete, Window


class FlowRow(TcpHealth, Verdict, Cost):
    """One row of the flow table: an edge between two pods or external ends in the window."""

    src_kind: str
    src_namespace: str | None
    src_workload: str | None
    src_workload_kind: str | None
    src_pod: str | None
    src_node: str | None
    src_zone: str | None
    src_region: str | None
    src_aws_service: str | None
    src_dns_name: str | None
    src_ip: str
    src_named_by: str | None
    dst_kind: str
    dst_namespace: str | None
    dst_workload: str | None
    dst_workload_kind: str | None
    dst_pod: str | None
    dst_node: str | None
    dst_zone: str | None
    dst_region: str | None
    dst_aws_service: str | None
    dst_dns_name: str | None
    dst_ip: str
    dst_named_by: str | None
    protocol: str
    dst_port: int
    service_namespace: str | None
    service: str | None
    service_ip: str | None
    service_port: int | None
    category: str | None
    zone_pair: str | None = Field(description="zone of the initiator > zone of the server")
    reporter: str
    role_source: str
    connections: int
    connections_established: int
    bytes_forward: int
    bytes_reverse: int
    packets_forward: int
    packets_reverse: int
    segments_forward: int
    segments_reverse: int
    wire_bytes_forward: int = Field(description="derived: L2 frames after segmentation, without preamble and FCS")
    wire_bytes_reverse: int
    first_seen_ns: int
    last_seen_ns: int


class FlowPage(BaseModel):
    window: Window
    rows: list[FlowRow]
    next_cursor: str | None
    total: int | None = Field(None, description="rows in the whole answer, when known")
    prices: PricesUsed | None = None
    incomplete: Incomplete
