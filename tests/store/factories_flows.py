"""Builders of stored records, batches and their parts, from a few words each."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from eastwest.model.batch import Amount, BatchHeader, Books
from eastwest.model.flow import ip_bytes
from eastwest.model.schema import COLUMNS, Type
from eastwest.store.parts import Receipt

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NOON = 1_795_348_800 * SECOND  # 2026-11-22T12:00:00Z

ARROW = {
    Type.STRING: pa.string(),
    Type.U8: pa.uint8(),
    Type.U16: pa.uint16(),
    Type.U64: pa.uint64(),
    Type.TIME: pa.int64(),
    Type.IP: pa.binary(16),
}
SCHEMA = pa.schema([pa.field(c.name, ARROW[c.type], nullable=c.nullable) for c in COLUMNS])


def pod(
    side: str, namespace: str, workload: str, n: int = 1, *, ip: str, node: str = "node-a", **other: Any
) -> dict[str, Any]:
    """The columns of one end that is a pod of a Deployment."""
    values = {
        "kind": "pod",
        "namespace": namespace,
        "workload": workload,
        "workload_kind": "Deployment",
        "pod": f"{workload}-{n}",
        "node": node,
        "zone": f"zone-{node[-1]}",
        "named_by": "pod_uid",
        "ip": ip,
    } | other
    return {f"{side}_{name}": value for name, value in values.items()}


def internet(side: str, ip: str, dns_name: str | None = None) -> dict[str, Any]:
    return {
        f"{side}_kind": "internet",
        f"{side}_ip": ip,
        f"{side}_dns_name": dns_name,
        f"{side}_named_by": "public_address",
    }


def aws(side: str, ip: str, service: str, region: str) -> dict[str, Any]:
    return {
        f"{side}_kind": "aws",
        f"{side}_ip": ip,
        f"{side}_aws_service": service,
        f"{side}_region": region,
        f"{side}_named_by": "aws_ranges",
    }


def unknown(side: str, ip: str) -> dict[str, Any]:
    return {f"{side}_kind": "unknown", f"{side}_ip": ip, f"{side}_named_by": "ambiguous"}


def record(*ends: dict[str, Any], at: int = NOON, **values: Any) -> dict[str, Any]:
    """One record of a 5 s window that begins at `at`; 1 connection, 100 bytes there and 1000 back unless said."""
    row: dict[str, Any] = {c.name: None for c in COLUMNS}
    row |= {
        "window_start_ns": at,
        "window_end_ns": at + 5 * SECOND,
        "first_seen_ns": at + SECOND,
        "last_seen_ns": at + 2 * SECOND,
        "cluster": "c1",
        "node": "node-a",
        "reporter": "client",
        "role_source": "handshake",
        "dst_port": 8080,
        "protocol": 6,
        "counted_in": "flow",
        "connections": 1,
        "connections_established": 1,
        "bytes_forward": 100,
        "bytes_reverse": 1000,
        "packets_forward": 2,
        "packets_reverse": 3,
        "segments_forward": 2,
        "segments_reverse": 3,
    }
    for end in ends:
        row |= end
    row |= values
    for name in ("src_ip", "dst_ip", "service_ip"):
        if isinstance(row[name], str):
            row[name] = ip_bytes(row[name])
    return row


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def header(seq: int = 0, *, at: int = NOON, node: str = "node-a", **values: Any) -> BatchHeader:
    """A batch header whose books close."""
    amount = Amount(values.pop("bytes", 1100), values.pop("packets", 5))
    fields: dict[str, Any] = {
        "cluster": "c1",
        "node": node,
        "boot_id": "boot-1",
        "seq": seq,
        "window_start_ns": at,
        "window_end_ns": at + 5 * SECOND,
        "sent_at_ns": at + 5 * SECOND,
        "agent_version": "0.1.0",
        "records": 1,
        "books": (Books("uid-1", "veth1", amount, amount),),
    }
    return BatchHeader(**(fields | values))


def receipt(seq: int = 0, *, at: int = NOON, **values: Any) -> Receipt:
    return Receipt(header(seq, at=at, **values), at + 6 * SECOND)
