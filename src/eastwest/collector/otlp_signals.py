"""What is sent by OTLP: every metric the server publishes, and each stored flow record as one log record.

Names from OpenTelemetry's semantic conventions where they exist (source.address, network.transport …), else the column's
own name after `eastwest.`. Both ends' reports are sent, as stored; `eastwest.reporter` tells them apart. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from eastwest.collector import otlp_wire as wire
from eastwest.model.flow import protocol_name
from eastwest.model.schema import COLUMNS, Column, Type
from eastwest.runtime.openmetrics import Exposition, Family, Kind

pc: Any = pyarrow.compute

EVENT: Final = "eastwest.flow"
CONVENTIONS: Final = {
    "src_ip": "source.address",
    "src_port": "source.port",
    "dst_ip": "destination.address",
    "dst_port": "destination.port",
    "protocol": "network.transport",
}
"""Column -> attribute of the semantic conventions (general attributes: source, destination, network)."""
UNITS: Final = {"bytes": "By", "seconds": "s", "packets": "{packet}", "records": "{record}", "rows": "{row}"}
_SENT: Final = tuple(c for c in COLUMNS if c.name not in ("cluster", "last_seen_ns"))
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPE: Final = re.compile(r"\\(.)")


class OtlpMetrics(Exposition):
    """Takes families as a text answer does, and becomes one ExportMetricsServiceRequest."""

    def __init__(self, now_ns: int) -> None:
        super().__init__()
        self._now_ns = now_ns
        self.metrics: list[bytes] = []
        self.points = 0

    def write(
        self,
        family: Family,
        labels: Sequence[str],
        values: NDArray[Any] | Sequence[float],
        created_s: NDArray[Any] | Sequence[float] | None = None,
    ) -> None:
        """Counters become cumulative monotonic sums, everything else gauges."""
        kind = "sum" if family.kind is Kind.COUNTER else "gauge"
        points = [
            wire.number_point(_labels(label, 7), value, start if kind == "sum" else None, self._now_ns)
            for label, value, start in zip(
                labels, np.asarray(values).tolist(), _starts(created_s, len(labels)), strict=True
            )
        ]
        self._add(family, kind, points)

    def histogram(
        self,
        family: Family,
        labels: Sequence[str],
        counts: NDArray[Any],
        sums: NDArray[Any] | Sequence[float],
        created_s: NDArray[Any] | Sequence[float] | None = None,
    ) -> None:
        """Explicit bounds, cumulative."""
        rows = zip(labels, counts.tolist(), np.asarray(sums).tolist(), _starts(created_s, len(labels)), strict=True)
        points = [
            wire.histogram_point(_labels(label, 9), row, family.bounds, total, start, self._now_ns)
            for label, row, total, start in rows
        ]
        self._add(family, "histogram", points)

    def _add(self, family: Family, kind: str, points: list[bytes]) -> None:
        if points:
            self.points += len(points)
            name = f"{family.name}_info" if family.kind is Kind.INFO else family.name
            self.metrics.append(wire.metric(name, family.help, UNITS.get(family.unit, "1"), kind, points))


def encode_logs(records: pa.Table, observed_ns: int) -> list[bytes]:
    """One LogRecord per row of named records. Unknown is left out, never empty."""
    columns = [_fragments(column, records[column.name]) for column in _SENT if column.name in records.column_names]
    times = records["last_seen_ns"].to_pylist()
    return [
        wire.log_record(time_ns, observed_ns, EVENT, b"".join(parts))
        for time_ns, *parts in zip(times, *columns, strict=True)
    ]


def _fragments(column: Column, values: pa.ChunkedArray[Any]) -> list[bytes]:
    """The encoded attribute (field 6) of each row: each distinct value is encoded once."""
    encoded = values.combine_chunks().dictionary_encode()
    key = CONVENTIONS.get(column.name, f"eastwest.{column.name}")
    show: Callable[[Any], wire.Value] = lambda value: value  # noqa: E731
    if column.type is Type.IP:
        show = _address
    elif column.name == "protocol":
        show = _transport
    table = [wire.block(6, wire.key_value(key, show(value))) for value in encoded.dictionary.to_pylist()]
    return [b"" if i is None else table[i] for i in encoded.indices.to_pylist()]


def _address(raw: bytes) -> str:
    ip = ipaddress.IPv6Address(raw)
    return str(ip.ipv4_mapped or ip)


def _transport(protocol: int) -> str:
    return protocol_name(protocol).lower()


def _labels(label_text: str, field: int) -> bytes:
    """Attributes from the text form of labels."""
    return b"".join(
        wire.block(field, wire.key_value(key, _ESCAPE.sub(_unescape, value) if "\\" in value else value))
        for key, value in _LABEL.findall(label_text)
    )


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def _starts(created_s: NDArray[Any] | Sequence[float] | None, rows: int) -> list[int | None]:
    if created_s is None:
        return [None] * rows
    return [int(value * 1e9) for value in np.asarray(created_s).tolist()]
