"""Counters of workload pairs: bounded in number, exact in sum, rising only.

Fed by the collector with each batch that was stored for the first time, read by any number of scrapers. The first
`limit` pairs get a series of their own for as long as the server runs; all later ones add up in `__other__`, so the sum
over series is always the flow table's total. Counting begins with the server (`_created` says when).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from eastwest.query.metrics_reports import Reports
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text

pc: Any = pyarrow.compute  # its stubs know no mixture of columns and plain values

PAIR: Final = (
    "source_kind", "source_namespace", "source", "destination_kind", "destination_namespace", "destination", "category",
)  # fmt: skip
DIRECTION: Final = "direction"
OTHER: Final = "__other__"
DEFAULT_LIMIT: Final = 2000

PAIR_BYTES: Final = Family(
    "eastwest_pair_bytes",
    Kind.COUNTER,
    "L3 bytes between two workloads, forward from the initiator.",
    "bytes",
    (*PAIR, DIRECTION),
)
PAIR_PACKETS: Final = Family(
    "eastwest_pair_packets",
    Kind.COUNTER,
    "Packets between two workloads, forward from the initiator.",
    "packets",
    (*PAIR, DIRECTION),
)
PAIR_CONNECTIONS: Final = Family(
    "eastwest_pair_connections", Kind.COUNTER, "Connections opened between two workloads.", labels=PAIR
)
PAIR_ESTABLISHED: Final = Family(
    "eastwest_pair_connections_established", Kind.COUNTER, "Connections that the other end answered.", labels=PAIR
)
PAIR_SERIES: Final = Family("eastwest_pair_series", Kind.GAUGE, "Workload pairs with a series of their own.")
PAIR_LIMIT: Final = Family(
    "eastwest_pair_series_limit", Kind.GAUGE, "Workload pairs that may have a series of their own."
)
ZONE_BYTES: Final = Family(
    "eastwest_zone_bytes", Kind.COUNTER, "L3 bytes between pods by zone, forward from the initiator.", "bytes",
    ("source_zone", "destination_zone", DIRECTION),
)  # fmt: skip

MEASURES: Final[tuple[tuple[str, Family, str | None], ...]] = (
    ("bytes_forward", PAIR_BYTES, "forward"),
    ("bytes_reverse", PAIR_BYTES, "reverse"),
    ("packets_forward", PAIR_PACKETS, "forward"),
    ("packets_reverse", PAIR_PACKETS, "reverse"),
    ("connections", PAIR_CONNECTIONS, None),
    ("connections_established", PAIR_ESTABLISHED, None),
)
"""Column -> family and direction."""
FAMILIES: Final = (
    PAIR_BYTES, PAIR_PACKETS, PAIR_CONNECTIONS, PAIR_ESTABLISHED, PAIR_SERIES, PAIR_LIMIT, ZONE_BYTES,
)  # fmt: skip


class CappedCounters:
    """Named rows of sums, at most `limit` of them; what has no row adds up in OTHER. Not thread-safe."""

    def __init__(self, width: int, columns: int, limit: int) -> None:
        self.limit = limit
        self._row: dict[tuple[str, ...], int] = {(OTHER,) * width: 0}
        self._sums = np.zeros((64, columns), np.uint64)
        self._created = np.zeros(64)

    def add(self, names: Sequence[tuple[str, ...]], amounts: NDArray[np.uint64], now_s: float) -> None:
        """Add `amounts` of shape (n, columns) to the rows of `names`, which are distinct."""
        rows = np.fromiter((self._row_of(name, now_s) for name in names), np.intp, len(names))
        np.add.at(self._sums, rows, amounts)

    @property
    def own(self) -> int:
        """Rows other than OTHER."""
        return len(self._row) - 1

    def read(self) -> tuple[list[tuple[str, ...]], NDArray[np.uint64], NDArray[np.float64]]:
        """Names, sums of shape (n, columns) and creation times; OTHER only once something is in it."""
        used = range(1 if not self._created[0] else 0, len(self._row))
        names = list(self._row)
        return [names[i] for i in used], self._sums[used.start : used.stop], self._created[used.start : used.stop]

    def _row_of(self, name: tuple[str, ...], now_s: float) -> int:
        row = self._row.get(name)
        if row is None:
            row = len(self._row) if self.own < self.limit else 0
            if row:
                self._row[name] = row
                if row >= len(self._sums):
                    self._sums = np.concatenate((self._sums, np.zeros_like(self._sums)))
                    self._created = np.concatenate((self._created, np.zeros_like(self._created)))
        if not self._created[row]:
            self._created[row] = now_s
        return row


class FlowMetrics:
    """Thread-safe: `_lock` guards all state."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._lock = threading.Lock()
        self._reports = Reports()
        self._pairs = CappedCounters(len(PAIR), len(MEASURES), limit)
        self._zones = CappedCounters(2, 2, 10_000)

    def take(self, table: pa.Table, now_s: float) -> None:
        """Count records with names (every column of the schema) that were stored for the first time."""
        with self._lock:
            self._settle(now_s)
            self._count(self._reports.take(table, now_s), now_s)

    def render(self, out: Exposition, now_s: float) -> None:
        """Write every family. `now_s` is Unix time."""
        with self._lock:
            self._settle(now_s)
            names, sums, created = self._pairs.read()
            zones, zone_sums, zones_created = self._zones.read()
            own, limit = self._pairs.own, self._pairs.limit
        _write(out, MEASURES, PAIR, names, sums, created)
        ways = [("", ZONE_BYTES, "forward"), ("", ZONE_BYTES, "reverse")]
        _write(out, ways, ZONE_BYTES.labels[:2], zones, zone_sums, zones_created)
        out.write(PAIR_SERIES, [""], [own])
        out.write(PAIR_LIMIT, [""], [limit])

    def _settle(self, now_s: float) -> None:
        for part in self._reports.settle(now_s):
            self._count(part, now_s)

    def _count(self, table: pa.Table, now_s: float) -> None:
        if not table.num_rows:
            return
        sums: Any = [(column, "sum") for column, _, _ in MEASURES]
        labels = pa.table([*_end(table, "src"), *_end(table, "dst"), category(table)], names=list(PAIR))
        for column, _, _ in MEASURES:
            labels = labels.append_column(column, table[column])
        self._add(self._pairs, labels.group_by(list(PAIR)).aggregate(sums), PAIR, [c for c, _ in sums], now_s)
        zones = table.filter(pc.and_(pc.is_valid(table["src_zone"]), pc.is_valid(table["dst_zone"])))
        if zones.num_rows:
            grouped = zones.group_by(["src_zone", "dst_zone"]).aggregate(
                [("bytes_forward", "sum"), ("bytes_reverse", "sum")]
            )
            self._add(self._zones, grouped, ("src_zone", "dst_zone"), ["bytes_forward", "bytes_reverse"], now_s)

    @staticmethod
    def _add(
        into: CappedCounters, grouped: pa.Table, keys: Sequence[str], columns: Sequence[str], now_s: float
    ) -> None:
        names = list(zip(*(grouped[key].to_pylist() for key in keys), strict=True))
        amounts = np.stack([grouped[f"{c}_sum"].to_numpy().astype(np.uint64) for c in columns], axis=1)
        into.add(names, amounts, now_s)


def category(table: pa.Table) -> pa.Array[Any]:
    """Where each record's traffic goes: intra_zone, inter_zone, inter_region, aws, internet, node, service or unknown."""
    src, dst = table["src_kind"], table["dst_kind"]

    def either(kind: str) -> Any:
        return pc.or_(pc.equal(src, kind), pc.equal(dst, kind))

    def same(what: str) -> Any:
        return pc.fill_null(pc.equal(table[f"src_{what}"], table[f"dst_{what}"]), False)

    zones = pc.and_(pc.is_valid(table["src_zone"]), pc.is_valid(table["dst_zone"]))
    regions = pc.and_(pc.is_valid(table["src_region"]), pc.is_valid(table["dst_region"]))
    cases: list[tuple[str, Any]] = [(kind, either(kind)) for kind in ("unknown", "internet", "aws", "service", "node")]
    cases += [
        ("inter_region", pc.and_(regions, pc.invert(same("region")))),
        ("intra_zone", pc.and_(zones, same("zone"))),
        ("inter_zone", zones),
    ]
    tests = pc.make_struct(*(c for _, c in cases), field_names=[str(i) for i in range(len(cases))])
    chosen: pa.ChunkedArray[Any] | pa.Array[Any] = pc.case_when(
        tests, *(pa.scalar(name) for name, _ in cases), pa.scalar("unknown")
    )
    return chosen.combine_chunks() if isinstance(chosen, pa.ChunkedArray) else chosen


def _end(table: pa.Table, side: str) -> list[Any]:
    """Kind, namespace and name of one end; what is not a workload is named by its service, else by its kind."""
    kind = table[f"{side}_kind"]
    is_service, pod = pc.equal(kind, "service"), pc.equal(kind, "pod")
    namespace = pc.if_else(is_service, table["service_namespace"], table[f"{side}_namespace"])
    name = pc.coalesce(
        pc.if_else(pod, table[f"{side}_workload"], None),
        pc.if_else(is_service, table["service"], None),
        pc.if_else(pc.equal(kind, "aws"), table[f"{side}_aws_service"], None),
        kind,
    )
    shown = pc.coalesce(pc.if_else(pod, table[f"{side}_workload_kind"], None), kind)
    return [shown, pc.fill_null(namespace, ""), name]


def _write(
    out: Exposition,
    columns: Sequence[tuple[str, Family, str | None]],
    keys: Sequence[str],
    names: Sequence[tuple[str, ...]],
    sums: NDArray[np.uint64],
    created: NDArray[np.float64],
) -> None:
    """One family after another, each with its columns' rows."""
    heads = [label_text(keys, name) for name in names]
    for family in dict.fromkeys(f for _, f, _ in columns):
        at = [(i, way) for i, (_, f, way) in enumerate(columns) if f is family]
        labels = [f'{head},{DIRECTION}="{way}"' if way else head for _, way in at for head in heads]
        values = np.concatenate([sums[:, i] for i, _ in at])
        out.write(family, labels, values, np.concatenate([created] * len(at)))
