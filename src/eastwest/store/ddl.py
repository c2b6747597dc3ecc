"""The tables, derived from model.schema: a column added there appears here, and nowhere else by hand.

`flows` holds every record, hour by hour. `edges_1m` holds the same sums per minute with few keys, for wide ranges.
`batches` holds one row per received batch: its name for ever, and its books.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eastwest.model.schema import BY_NAME, COLUMNS, Column, Merge, Type

MINUTE_NS: Final = 60_000_000_000
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS

ROLLUP_LEFT_OUT: Final = ("window_start_ns", "window_end_ns", "node", "pod_uid", "counted_in")
EDGE_KEYS: Final = (
    "cluster",
    "src_kind",
    "src_namespace",
    "src_pod",
    "src_ip",
    "dst_kind",
    "dst_namespace",
    "dst_pod",
    "dst_ip",
    "protocol",
    "dst_port",
)
"""What tells two edges apart."""
ROLLUP_KEYS: Final = (
    *EDGE_KEYS,
    "reporter",
    "src_port",
    "service_ip",
    "service_port",
)
"""What tells two rows of edges_1m apart; every other column that is not a sum is an attribute of these."""

ROLLUP_COLUMNS: Final = tuple(c for c in COLUMNS if c.name not in ROLLUP_LEFT_OUT)
ROLLUP_ATTRIBUTES: Final = tuple(
    c.name for c in ROLLUP_COLUMNS if c.name not in ROLLUP_KEYS and c.merge in (Merge.KEY, Merge.LAST)
)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long rows are kept; None is for ever (a recording)."""

    flows_s: int | None = 24 * 3600
    edges_s: int | None = 7 * 24 * 3600
    batches_s: int | None = 7 * 24 * 3600


_BASE: Final = {
    Type.U8: ("UInt8", ""),
    Type.U16: ("UInt16", "CODEC(T64, ZSTD(1))"),
    Type.U64: ("UInt64", "CODEC(T64, ZSTD(1))"),
    Type.TIME: ("Int64", "CODEC(DoubleDelta, ZSTD(1))"),
    Type.IP: ("IPv6", "CODEC(ZSTD(1))"),
}


def sql_type(column: Column) -> str:
    """The engine's type: text is LowCardinality because a cluster has few names, addresses are IPv6."""
    if column.type is Type.STRING:
        return "LowCardinality(Nullable(String))" if column.nullable else "LowCardinality(String)"
    base = _BASE[column.type][0]
    return f"Nullable({base})" if column.nullable else base


def _codec(column: Column) -> str:
    return "" if column.type is Type.STRING else _BASE[column.type][1]


def _line(name: str, type_: str, codec: str = "") -> str:
    return f"  {name} {type_} {codec}".rstrip()


def _instant(name: str) -> str:
    return f"toDateTime(intDiv({name}, 1000000000), 'UTC')"


def _settings(extra: str = "") -> str:
    """Durable before the insert returns; a repeated token is recognised among the last 10,000 inserts."""
    return (
        "fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000, "
        f"ttl_only_drop_parts = 1, merge_with_ttl_timeout = 600{extra}"
    )


def _table(
    name: str, lines: list[str], engine: str, partition: str, order: str, time: str, keep_s: int | None, extra: str = ""
) -> str:
    ttl = f"\nTTL {_instant(time)} + INTERVAL {keep_s} SECOND" if keep_s is not None else ""
    columns = ",\n".join(lines)
    return (
        f"CREATE TABLE IF NOT EXISTS {name} (\n{columns}\n)\nENGINE = {engine}\nPARTITION BY {partition}\n"
        f"ORDER BY ({order}){ttl}\nSETTINGS {_settings(extra)}"
    )


def _rollup_line(column: Column) -> str:
    base = sql_type(column)
    if column.name in ROLLUP_KEYS:
        return _line(column.name, base, _codec(column))
    function = {Merge.SUM: "sum", Merge.MIN: "min", Merge.MAX: "max"}.get(column.merge, "anyLast")
    return _line(column.name, f"SimpleAggregateFunction({function}, {base})", _codec(column))


_BATCHES: Final = (
    ("cluster", "LowCardinality(String)"),
    ("node", "LowCardinality(String)"),
    ("boot_id", "LowCardinality(String)"),
    ("seq", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("window_start_ns", "Int64 CODEC(Delta, ZSTD(1))"),
    ("window_end_ns", "Int64 CODEC(Delta, ZSTD(1))"),
    ("sent_at_ns", "Int64 CODEC(Delta, ZSTD(1))"),
    ("received_at_ns", "Int64 CODEC(Delta, ZSTD(1))"),
    ("agent_version", "LowCardinality(String)"),
    ("records", "UInt64 CODEC(T64, ZSTD(1))"),
    ("hook_bytes", "Int64 CODEC(T64, ZSTD(1))"),
    ("hook_packets", "Int64 CODEC(T64, ZSTD(1))"),
    ("recorded_bytes", "Int64 CODEC(T64, ZSTD(1))"),
    ("recorded_packets", "Int64 CODEC(T64, ZSTD(1))"),
    ("lost_causes", "Array(LowCardinality(String))"),
    ("lost_bytes", "Array(Int64)"),
    ("lost_packets", "Array(Int64)"),
    # What is in no hook total of these windows: batches that never arrived, what passed a hook by.
    ("shipping_causes", "Array(LowCardinality(String))"),
    ("shipping_bytes", "Array(Int64)"),
    ("shipping_packets", "Array(Int64)"),
    ("folded_edges", "UInt64"),  # edges without a record of their own
    ("hooks", "LowCardinality(String)"),  # JSON; the same text in nearly every batch
    ("books", "String CODEC(ZSTD(3))"),  # JSON, per interface
)


def statements(keeping: Keeping) -> list[str]:
    """Every CREATE TABLE, safe to repeat."""
    partition, nullable_key = "toStartOfHour({})", ", allow_nullable_key = 1"
    minute = _line("minute_ns", "Int64", "CODEC(DoubleDelta, ZSTD(1))")
    return [
        _table(
            "flows",
            [_line(c.name, sql_type(c), _codec(c)) for c in COLUMNS],
            "MergeTree",
            partition.format(_instant("window_start_ns")),
            "cluster, src_namespace, src_workload, dst_namespace, dst_workload, window_start_ns",
            "window_start_ns",
            keeping.flows_s,
            nullable_key,
        ),
        _table(
            "edges_1m",
            [minute, *(_rollup_line(c) for c in ROLLUP_COLUMNS)],
            "AggregatingMergeTree",
            f"toStartOfDay({_instant('minute_ns')})",
            "minute_ns, " + ", ".join(ROLLUP_KEYS),
            "minute_ns",
            keeping.edges_s,
            nullable_key,
        ),
        _table(
            "batches",
            [_line(name, type_) for name, type_ in _BATCHES],
            "MergeTree",
            f"toStartOfDay({_instant('received_at_ns')})",
            "cluster, node, window_start_ns",
            "received_at_ns",
            keeping.batches_s,
        ),
    ]


def migrations(keeping: Keeping) -> list[str]:
    """What brings tables of an older version, or of another retention, up to date; safe to repeat."""
    tables = {
        "flows": [_line(c.name, sql_type(c), _codec(c)) for c in COLUMNS],
        "edges_1m": [_rollup_line(c) for c in ROLLUP_COLUMNS],
        "batches": [_line(name, type_) for name, type_ in _BATCHES],
    }
    adds = [
        f"ALTER TABLE {name} " + ", ".join(f"ADD COLUMN IF NOT EXISTS {line.strip()}" for line in lines)
        for name, lines in tables.items()
    ]
    kept = (
        ("flows", "window_start_ns", keeping.flows_s),
        ("edges_1m", "minute_ns", keeping.edges_s),
        ("batches", "received_at_ns", keeping.batches_s),
    )
    ttls = [
        f"ALTER TABLE {name} MODIFY TTL {_instant(time)} + INTERVAL {keep_s} SECOND SETTINGS materialize_ttl_after_modify = 0"
        for name, time, keep_s in kept
        if keep_s is not None
    ]
    return adds + ttls


assert all(name in BY_NAME for name in (*ROLLUP_KEYS, *ROLLUP_LEFT_OUT))
