"""Batches as agents send them, from the records of `store.factories_flows`."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from eastwest.model.batch import BatchHeader
from eastwest.model.schema import AGENT_COLUMNS, Type
from eastwest.wire.batch import ColumnData, Maybe, Words, encode
from store.factories_flows import SECOND, header


def columns(rows: list[dict[str, Any]]) -> dict[str, ColumnData]:
    """The agent's columns of rows."""
    found: dict[str, ColumnData] = {}
    for c in AGENT_COLUMNS:
        values = [row[c.name] for row in rows]
        if c.type is Type.STRING:
            words = list(dict.fromkeys(values)) or [""]
            found[c.name] = Words(np.array([words.index(v) for v in values], np.int32), words)
            continue
        valid = np.array([v is not None for v in values], bool)
        if c.type is Type.IP:
            raw = b"".join(v or bytes(16) for v in values)
            plain = np.frombuffer(raw, np.uint8).reshape(len(values), 16)
        else:
            plain = np.array([v or 0 for v in values])
        found[c.name] = Maybe(plain, valid) if c.nullable else plain
    return found


def body(batch: BatchHeader, rows: list[dict[str, Any]]) -> bytes:
    """One batch as bytes."""
    return encode(batch, columns(rows))


def recent(seconds_ago: int = 10) -> int:
    """A window start that a server of today accepts, on a whole second."""
    return time.time_ns() // SECOND * SECOND - seconds_ago * SECOND


def batch(seq: int, rows: list[dict[str, Any]], **values: Any) -> bytes:
    """A batch whose window spans its rows."""
    start = min((r["window_start_ns"] for r in rows), default=recent())
    end = max((r["window_end_ns"] for r in rows), default=start + 5 * SECOND)
    made = header(seq, at=start, window_end_ns=end, sent_at_ns=end, records=len(rows), **values)
    return body(made, rows)


AT = recent(60)
"""When everything happened in the shop of conftest."""
