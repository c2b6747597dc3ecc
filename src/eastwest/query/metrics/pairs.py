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

from eastwest.model.prices import PriceTable
from eastwest.query.costs import BILLED, PLACES, with_billed
from eastwest.query.metrics import cost, policy, tcp
from eastwest.query.metrics.cost import CostCounters
from eastwest.query.metrics.labels import DIRECTION, PAIR, CappedCounters, pair_labels
from eastwest.query.metrics.policy import PolicyCounters
from eastwest.query.metrics.reports import Reports
from eastwest.query.metrics.tcp import TcpCounters
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text

pc: Any = pyarrow.compute

DEFAULT_LIMIT: Final = 2000
ZONE_LIMIT: Final = 1000

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
    *cost.FAMILIES, *tcp.FAMILIES, *policy.FAMILIES,
)  # fmt: skip


class FlowMetrics:
    """Thread-safe: `_lock` guards all state."""

    def __init__(self, limit: int = DEFAULT_LIMIT, prices: PriceTable | None = None) -> None:
        self._lock = threading.Lock()
        self._reports = Reports()
        self._pairs = CappedCounters(len(PAIR), len(MEASURES), limit)
        self._zones = CappedCounters(2, 2, ZONE_LIMIT)
        self._costs = CostCounters(limit, prices)
        self._tcp = TcpCounters(limit)
        self._policy = PolicyCounters(limit)

    def take(self, table: pa.Table, now_s: float) -> None:
        """Count records with names (every column of the schema) that were stored for the first time."""
        with self._lock:
            self._settle(now_s)
            self._tcp.take(table, now_s)
            self._policy.take(table, now_s)
            self._count(self._reports.take(table, now_s), now_s)

    def render(self, out: Exposition, now_s: float) -> None:
        """Write every family. `now_s` is Unix time."""
        with self._lock:
            self._settle(now_s)
            names, sums, created = self._pairs.read()
            zones, zone_sums, zones_created = self._zones.read()
            own, limit = self._pairs.own, self._pairs.limit
            self._costs.render(out)
            self._tcp.render(out)
            self._policy.render(out)
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
        columns = [column for column, _, _ in MEASURES]
        labelled, billed = pair_labels(table), with_billed(table)
        for column in (*PLACES, *columns, *BILLED):
            labelled = labelled.append_column(column, billed[column])
        sums: Any = [(column, "sum") for column in (*columns, *BILLED)]
        table = labelled.group_by([*PAIR, *PLACES]).aggregate(sums)
        table = table.rename_columns([name.removesuffix("_sum") for name in table.column_names])
        self._pairs.add_grouped(table, PAIR, columns, now_s)
        self._costs.add(table, now_s)
        zones = table.filter(pc.and_(pc.is_valid(table["src_zone"]), pc.is_valid(table["dst_zone"])))
        if zones.num_rows:
            self._zones.add_grouped(zones, ("src_zone", "dst_zone"), ("bytes_forward", "bytes_reverse"), now_s)


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
