"""OTLP messages as protobuf bytes: just the fields that are sent, written without a protobuf library.

Field numbers are those of opentelemetry-proto 1.x (opentelemetry/proto/{metrics,logs,common,resource}/v1). A message is the
concatenation of its fields, so attributes are encoded once per distinct value and joined per record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

CUMULATIVE: Final = 2  # AggregationTemporality
SEVERITY_INFO: Final = 9

Value = str | int | float | bool


def varint(value: int) -> bytes:
    """Unsigned; a negative int64 is its two's complement in 64 bits."""
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """int64, uint64, bool, enum (wire type 0)."""
    return varint(field << 3) + varint(value)


def fixed(field: int, value: int) -> bytes:
    """fixed64 and sfixed64 (wire type 1)."""
    return varint(field << 3 | 1) + struct.pack("<Q", value & (2**64 - 1))


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def block(field: int, content: bytes) -> bytes:
    """A message, string, bytes or packed list (wire type 2)."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def text(field: int, value: str) -> bytes:
    return block(field, value.encode())


def key_value(key: str, value: Value) -> bytes:
    """common.v1.KeyValue."""
    if isinstance(value, bool):
        inner = number(2, value)
    elif isinstance(value, int):
        inner = number(3, value)
    elif isinstance(value, float):
        inner = double(4, value)
    else:
        inner = text(1, value)
    return text(1, key) + block(2, inner)


def attributes(field: int, values: Mapping[str, Value]) -> bytes:
    return b"".join(block(field, key_value(k, v)) for k, v in values.items())


def number_point(labels: bytes, value: float, start_ns: int | None, now_ns: int) -> bytes:
    """metrics.v1.NumberDataPoint; `labels` are encoded attributes of field 7."""
    start = b"" if start_ns is None else fixed(2, start_ns)
    return labels + start + fixed(3, now_ns) + (fixed(6, value) if isinstance(value, int) else double(4, value))


def histogram_point(
    labels: bytes, counts: Sequence[int], bounds: Sequence[float], total: float, start_ns: int | None, now_ns: int
) -> bytes:
    """metrics.v1.HistogramDataPoint; `labels` are encoded attributes of field 9, `counts` per bucket, one more than bounds."""
    start = b"" if start_ns is None else fixed(2, start_ns)
    buckets = block(6, struct.pack(f"<{len(counts)}Q", *counts)) + block(7, struct.pack(f"<{len(bounds)}d", *bounds))
    return labels + start + fixed(3, now_ns) + fixed(4, sum(counts)) + double(5, total) + buckets


def metric(name: str, about: str, unit: str, kind: str, points: Iterable[bytes]) -> bytes:
    """metrics.v1.Metric; `kind` is gauge, sum (cumulative, monotonic) or histogram (cumulative)."""
    joined = b"".join(block(1, point) for point in points)
    shape = {
        "gauge": block(5, joined),
        "sum": block(7, joined + number(2, CUMULATIVE) + number(3, 1)),
        "histogram": block(9, joined + number(2, CUMULATIVE)),
    }[kind]
    return text(1, name) + text(2, about) + text(3, unit) + shape


def log_record(time_ns: int, observed_ns: int, event: str, encoded_attributes: bytes) -> bytes:
    """logs.v1.LogRecord; `encoded_attributes` are of field 6."""
    head = fixed(1, time_ns) + fixed(11, observed_ns) + number(2, SEVERITY_INFO)
    return head + encoded_attributes + text(12, event)


def request(resource: Mapping[str, Value], version: str, items: Iterable[bytes]) -> bytes:
    """ExportMetricsServiceRequest and ExportLogsServiceRequest, which have the same shape; items are field 2 of a scope."""
    scope = block(1, text(1, "eastwest") + text(2, version))
    scoped = scope + b"".join(block(2, item) for item in items)
    return block(1, block(1, attributes(1, resource)) + block(2, scoped))


def rejected(response: bytes) -> int:
    """How many items a response declares rejected (partial_success.rejected_…, field 1 of field 1); 0 when it says nothing."""
    partial = _first(response, 1)
    count = _first(partial, 1) if isinstance(partial, bytes) else None
    return count if isinstance(count, int) else 0


def _first(message: bytes, wanted: int) -> bytes | int | None:
    """The first varint or block field of that number. None when absent or not understood."""
    at = 0
    try:
        while at < len(message):
            tag, at = _read_varint(message, at)
            field, wire = tag >> 3, tag & 7
            if wire == 0:
                value, at = _read_varint(message, at)
                if field == wanted:
                    return value
            elif wire == 2:
                size, at = _read_varint(message, at)
                if field == wanted:
                    return message[at : at + size]
                at += size
            else:
                at += 8 if wire == 1 else 4
    except IndexError:
        pass
    return None


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
