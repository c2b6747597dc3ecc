"""How pairs are named, and counters that are bounded in number and exact in sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

pc: Any = pyarrow.compute  # its stubs know no mixture of columns and plain values

PAIR: Final = (
    "source_kind", "source_namespace", "source", "destination_kind", "destination_namespace", "destination", "category",
)  # fmt: skip
DIRECTION: Final = "direction"
OTHER: Final = "__other__"


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

    def add_grouped(self, table: pa.Table, keys: Sequence[str], columns: Sequence[str], now_s: float) -> None:
        """Add `columns` of every row of `table` to the row that its `keys` name."""
        sums: Any = [(column, "sum") for column in columns]
        grouped = table.group_by(list(keys)).aggregate(sums)
        names = list(zip(*(grouped[key].to_pylist() for key in keys), strict=True))
        self.add(names, np.stack([grouped[f"{c}_sum"].to_numpy().astype(np.uint64) for c in columns], axis=1), now_s)

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


def pair_labels(table: pa.Table) -> pa.Table:
    """The columns of PAIR for each record."""
    return pa.table([*_end(table, "src"), *_end(table, "dst"), category(table)], names=list(PAIR))


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
