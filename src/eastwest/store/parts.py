"""A block of records as parts: each part goes into one partition of one table in one insert, with its own token.

An insert is atomic within a partition only, and a token is exact only for one partition; so a block is cut by hour
(flows) and by day (edges_1m, batches) before it is written anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from eastwest.model.batch import Amount, BatchHeader
from eastwest.model.schema import BY_NAME, COLUMNS, Merge, Type
from eastwest.store.ddl import DAY_NS, HOUR_NS, MINUTE_NS, ROLLUP_ATTRIBUTES, ROLLUP_COLUMNS, ROLLUP_KEYS

ARROW: Final[dict[Type, Any]] = {
    Type.STRING: pa.string(),
    Type.U8: pa.uint8(),
    Type.U16: pa.uint16(),
    Type.U64: pa.uint64(),
    Type.TIME: pa.int64(),
    Type.IP: pa.binary(16),
}
RECORDS: Final = pa.schema([pa.field(c.name, ARROW[c.type], nullable=c.nullable) for c in COLUMNS])
"""Records as they are kept."""

_AGGREGATES: Final[dict[Merge, Any]] = {Merge.SUM: "sum", Merge.MIN: "min", Merge.MAX: "max"}


@dataclass(frozen=True, slots=True)
class Part:
    """Rows for one partition of one table; the same token is never applied twice."""

    table: str
    token: str
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class Receipt:
    """One received batch: its header, and when it arrived."""

    header: BatchHeader
    received_at_ns: int


def cut(block: str, flows: pa.Table, receipts: Sequence[Receipt]) -> list[Part]:
    """The parts of a block named `block`: records first, their sums next, the batches' own rows last.

    The last part makes the batches known; a crash before it leaves them to be replayed, not forgotten.
    """
    flows = _aligned(flows.select(RECORDS.names).cast(RECORDS))
    parts = [
        Part("flows", f"{block}/flows/{hour}", rows) for hour, rows in _partitions(flows, "window_start_ns", HOUR_NS)
    ]
    if flows.num_rows:
        parts += [
            Part("edges_1m", f"{block}/edges_1m/{day}", rows)
            for day, rows in _partitions(rollup(flows), "minute_ns", DAY_NS)
        ]
    return parts + [
        Part("batches", f"{block}/batches/{day}", rows)
        for day, rows in _partitions(batch_rows(receipts), "received_at_ns", DAY_NS)
    ]


def _aligned(table: pa.Table) -> pa.Table:
    """A copy in one chunk whose buffers lie as Arrow's kernels like them; a batch's bytes lie as they came."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def _floor(column: pa.ChunkedArray[Any], unit_ns: int) -> Any:
    unit = pa.scalar(unit_ns, pa.int64())
    return pc.multiply(pc.divide(column, unit), unit)


def _partitions(table: pa.Table, time: str, unit_ns: int) -> Iterator[tuple[int, pa.Table]]:
    """(partition start_ns, rows), in order of time."""
    if not table.num_rows:
        return
    starts = _floor(table.column(time), unit_ns)
    unique = sorted(pc.unique(starts).to_pylist())
    for start in unique:
        yield start, table if len(unique) == 1 else table.filter(pc.equal(starts, pa.scalar(start, pa.int64())))


def rollup(flows: pa.Table) -> pa.Table:
    """Sums per minute and ROLLUP_KEYS, in the columns of edges_1m."""
    minutes = flows.append_column("minute_ns", _floor(flows.column("window_start_ns"), MINUTE_NS))
    keys = ["minute_ns", *ROLLUP_KEYS]
    known = {c.name for c in ROLLUP_COLUMNS if flows.column(c.name).null_count < flows.num_rows}
    aggregates: list[Any] = [
        (c.name, _AGGREGATES[c.merge]) for c in ROLLUP_COLUMNS if c.merge in _AGGREGATES and c.name in known
    ]
    aggregates += [(name, _choice(name)) for name in ROLLUP_ATTRIBUTES if name in known]
    grouped = minutes.group_by(keys).aggregate(aggregates)
    renamed = grouped.rename_columns([*keys, *(name for name, _ in aggregates)])
    for column in ROLLUP_COLUMNS:  # what hooks that are off would fill costs nothing
        if column.name not in known and column.name not in keys:
            renamed = renamed.append_column(column.name, pa.nulls(renamed.num_rows, ARROW[column.type]))
    return renamed.select(["minute_ns", *(c.name for c in ROLLUP_COLUMNS)])


def _choice(name: str) -> str:
    """Equal for all records of a key: any. A name learned later: one that is not null."""
    return "max" if BY_NAME[name].merge is Merge.LAST else "one"


_LOSS: Final[tuple[tuple[str, pa.DataType], ...]] = (
    ("causes", pa.list_(pa.string())),
    ("bytes", pa.list_(pa.int64())),
    ("packets", pa.list_(pa.int64())),
)
_BATCH_FIELDS: Final[list[tuple[str, pa.DataType]]] = [
    *((name, pa.string()) for name in ("cluster", "node", "boot_id")),
    ("seq", pa.uint64()),
    *((name, pa.int64()) for name in ("window_start_ns", "window_end_ns", "sent_at_ns", "received_at_ns")),
    ("agent_version", pa.string()),
    ("records", pa.uint64()),
    *((name, pa.int64()) for name in ("hook_bytes", "hook_packets", "recorded_bytes", "recorded_packets")),
    *((f"lost_{name}", type_) for name, type_ in _LOSS),
    *((f"shipping_{name}", type_) for name, type_ in _LOSS),
    ("folded_edges", pa.uint64()),
    ("hooks", pa.string()),
    ("books", pa.string()),
]
_BATCH_SCHEMA: Final = pa.schema(_BATCH_FIELDS)


def batch_rows(receipts: Sequence[Receipt]) -> pa.Table:
    """One row per batch, in the columns of `batches`."""
    return pa.Table.from_pylist([_batch_row(r) for r in receipts], schema=_BATCH_SCHEMA)


def _batch_row(receipt: Receipt) -> dict[str, Any]:
    h = receipt.header
    lost = _added_up(book.lost for book in h.books)
    beside = _added_up([h.shipping_lost, *(book.unseen for book in h.books)])
    return {
        "cluster": h.cluster,
        "node": h.node,
        "boot_id": h.boot_id,
        "seq": h.seq,
        "window_start_ns": h.window_start_ns,
        "window_end_ns": h.window_end_ns,
        "sent_at_ns": h.sent_at_ns,
        "received_at_ns": receipt.received_at_ns,
        "agent_version": h.agent_version,
        "records": h.records,
        "hook_bytes": sum(b.hook.bytes for b in h.books),
        "hook_packets": sum(b.hook.packets for b in h.books),
        "recorded_bytes": sum(b.recorded.bytes for b in h.books),
        "recorded_packets": sum(b.recorded.packets for b in h.books),
        **_loss_columns("lost", lost),
        **_loss_columns("shipping", beside),
        "folded_edges": sum(b.other.get("edges_folded", 0) for b in h.books),
        "hooks": json.dumps([asdict(hook) for hook in h.hooks], sort_keys=True),
        "books": json.dumps([asdict(book) for book in h.books], sort_keys=True),
    }


def _added_up(parts: Iterable[Mapping[str, Amount]]) -> dict[str, Amount]:
    total: dict[str, Amount] = {}
    for part in parts:
        for cause, amount in part.items():
            before = total.get(cause, Amount(0, 0))
            total[cause] = Amount(before.bytes + amount.bytes, before.packets + amount.packets)
    return total


def _loss_columns(name: str, lost: dict[str, Amount]) -> dict[str, list[Any]]:
    return {
        f"{name}_causes": list(lost),
        f"{name}_bytes": [a.bytes for a in lost.values()],
        f"{name}_packets": [a.packets for a in lost.values()],
    }
