# ruff: noqa: S608 - column and table names come from the schema, every value is bound
"""A range in one row, and what its pods' lookups came to: the questions of an overview."""

from __future__ import annotations

from typing import Final

from eastwest.model.batch import DNS_EVENT
from eastwest.store.edges import edges
from eastwest.store.questions import Lookups, Totals
from eastwest.store.source import Scope
from eastwest.store.statement import Binder
from eastwest.store.where import condition

_SUMS: Final = (
    "connections",
    "connections_established",
    "connection_failures",
    "resets",
    *(f"{what}_{phase}" for what in ("retransmits", "rtos") for phase in ("syn", "established", "closing")),
    "segments_forward",
    "segments_reverse",
    "drops",
    "policy_allowed",
    "policy_denied",
    "policy_would_deny",
)


def totals(question: Totals, scope: Scope, binder: Binder) -> str:
    """One row; sums of nothing but null are null."""
    inner = edges(question.range, question.where, scope, binder)
    sums = ", ".join(f"sum(e.{name}) AS {name}" for name in _SUMS)
    return f"""SELECT count() AS edges, sum(e.bytes_forward + e.bytes_reverse) AS bytes, {sums},
  countIf(ifNull(e.policy_denied, 0) > 0) AS denied_edges, countIf(ifNull(e.policy_would_deny, 0) > 0) AS would_deny_edges
FROM {inner} AS e WHERE {condition(question.where, binder)}"""


def lookups(question: Lookups, binder: Binder) -> str:
    """Rows per pod and outcome, from the books of its interface."""
    start, end = binder.integer(question.range.start_ns), binder.integer(question.range.end_ns)
    event = binder.bind(DNS_EVENT, "String")
    return f"""SELECT nullIf(JSONExtractString(book, 'pod_uid'), '') AS pod_uid, substring(told.1, length({event}) + 1) AS outcome,
  sum(told.2) AS lookups
FROM (
  SELECT arrayJoin(JSONExtractArrayRaw(books)) AS book FROM batches
  WHERE window_start_ns >= {start} AND window_start_ns < {end} AND position(books, {event}) > 0
)
ARRAY JOIN JSONExtractKeysAndValues(book, 'other', 'Int64') AS told
WHERE startsWith(told.1, {event}) GROUP BY pod_uid, outcome ORDER BY pod_uid, outcome"""
