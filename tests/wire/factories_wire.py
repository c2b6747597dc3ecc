"""Builders for batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from eastwest.model.batch import Amount, BatchHeader, Books, HookStatus
from eastwest.model.flow import ip_bytes
from eastwest.model.schema import AGENT_COLUMNS, Type
from eastwest.wire.batch import ColumnData, Maybe, Words


def make_header(**changes: Any) -> BatchHeader:
    header = BatchHeader(
        cluster="demo",
        node="node-a",
        boot_id="b0",
        seq=0,
        window_start_ns=1_000,
        window_end_ns=2_000,
        sent_at_ns=2_100,
        agent_version="0.1.0",
        records=3,
        books=(
            Books(
                "uid-1",
                "veth1",
                Amount(100, 2),
                Amount(60, 1),
                {"flow_map_full": Amount(40, 1)},
                {"non_ip": 3},
                {"hook_bypass": Amount(9, 1)},
            ),
            Books(None, "veth2", Amount(0, 0), Amount(0, 0)),
        ),
        hooks=(HookStatus("tcx", "on"), HookStatus("conntrack", "refused", "EACCES", ("service_ip", "service_port"))),
        shipping_lost={"buffer_full": Amount(7, 1)},
        shipping_lost_windows=((0, 1_000),),
    )
    return replace(header, **changes)


def make_columns(rows: int = 3) -> dict[str, ColumnData]:
    """Every column filled; nullable ones null in row 0."""
    columns: dict[str, ColumnData] = {}
    valid = np.arange(rows) > 0
    codes = np.arange(rows) % 2
    for c in AGENT_COLUMNS:
        if c.type is Type.STRING:
            columns[c.name] = Words(codes, (None if c.nullable else "é", "two"))
        elif c.type is Type.IP:
            ips = np.frombuffer(ip_bytes("10.0.0.1") * rows, np.uint8).reshape(rows, 16)
            columns[c.name] = Maybe(ips, valid) if c.nullable else ips
        else:
            values = np.arange(rows)
            columns[c.name] = Maybe(values, valid) if c.nullable else values
    return columns
