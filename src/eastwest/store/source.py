# ruff: noqa: S608 - column and table names come from the schema, every value is bound
"""Which table answers for a range: minutes that lie whole inside it come from edges_1m, the ragged ends from flows.

Both tables assign a record by the start of its window, so the answer is the same to the byte. Where single records are
no longer kept, the range is widened to whole minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eastwest.store.ddl import MINUTE_NS
from eastwest.store.questions import Range
from eastwest.store.statement import Binder
from eastwest.store.where import within

ROLLUP_FROM_NS = 10 * MINUTE_NS
"""Shorter ranges read single records: there is little to gain."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known of a range before it is read; the doubts cost time, so they are looked up first."""

    records_from_ns: int | None = None  # single records older than this are gone; None: never
    unsure: bool = True  # some reports could not tell initiator from server
    unnamed: bool = True  # some ends had no name
    hosted: bool = True  # some ends are host-network pods


def pieces(range_: Range, records_from_ns: int | None) -> tuple[list[Range], Range | None]:
    """(ranges to read from flows, range of whole minutes to read from edges_1m); None: everything is still in flows."""
    start, end = range_.start_ns, range_.end_ns
    expired = records_from_ns is not None and start < records_from_ns
    if not expired and end - start < ROLLUP_FROM_NS:
        return [range_], None
    first = start // MINUTE_NS * MINUTE_NS if expired else -(-start // MINUTE_NS) * MINUTE_NS
    last = end // MINUTE_NS * MINUTE_NS
    if last <= first:
        return [range_], None
    edges = [Range(start, first), Range(last, end)]
    return [r for r in edges if r.start_ns < r.end_ns], Range(first, last)


def relation(
    range_: Range, columns: Sequence[str], scope: Scope, binder: Binder, where: Sequence[str] = (), step_ns: int = 0
) -> str:
    """A subquery with `columns` of every report in the range that fulfils all of `where`.

    With `step_ns` (whole minutes where minutes are read) also `step`: when its stretch of that length began.
    """
    records, minutes = pieces(range_, scope.records_from_ns)
    names = ", ".join(columns)
    selects = []
    if records:
        times = " OR ".join(f"({within(r, binder)})" for r in records)
        selects.append(_select(names + _step("window_start_ns", step_ns), "flows", [f"({times})", *where]))
    if minutes is not None:
        span = f"minute_ns >= {binder.integer(minutes.start_ns)} AND minute_ns < {binder.integer(minutes.end_ns)}"
        selects.append(_select(names + _step("minute_ns", step_ns), "edges_1m", [span, *where]))
    return "(" + " UNION ALL ".join(selects) + ")"


def _step(time: str, step_ns: int) -> str:
    return f", intDiv({time}, {step_ns:d}) * {step_ns:d} AS step" if step_ns else ""


def _select(names: str, table: str, where: Sequence[str]) -> str:
    return f"SELECT {names} FROM {table} WHERE {' AND '.join(where)}"
