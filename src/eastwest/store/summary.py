# ruff: noqa: S608 - column and table names come from the schema, every value is bound
"""A range in one row, and what its pods' lookups came to: the questions of an overview."""

from __future__ import annotations

from typing import Final

from eastwest.model.batch import DNS_EVENT
from eastwest.store.ddl import MINUTE_NS
from eastwest.store.edges import edges
from eastwest.store.questions import History, Lookups, Totals
from eastwest.store.source import Scope
from eastwest.store.statement import Binder
from eastwest.store.where import condition, within

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


_COUNTS: Final = """countIf(ifNull(e.policy_denied, 0) > 0) AS denied_edges,
  countIf(ifNull(e.policy_would_deny, 0) > 0) AS would_deny_edges"""
_ALL: Final = ", ".join(f"sum(e.{name}) AS {name}" for name in _SUMS)


def totals(question: Totals, scope: Scope, binder: Binder) -> str:
    """One row; sums of nothing but null are null."""
    inner = edges(question.range, question.where, scope, binder)
    return f"""SELECT count() AS edges, sum(e.bytes_forward + e.bytes_reverse) AS bytes, {_ALL}, {_COUNTS}
FROM {inner} AS e WHERE {condition(question.where, binder)}"""


def history(question: History, scope: Scope, binder: Binder) -> str:
    """As `totals`, per step: an edge is read from the reports of that step."""
    step_ns = question.step_ns
    if scope.records_from_ns is not None and question.range.start_ns < scope.records_from_ns:
        step_ns = -(-step_ns // MINUTE_NS) * MINUTE_NS  # only minutes are kept
    inner = edges(question.range, question.where, scope, binder, step_ns)
    return f"""SELECT if(h.step = 0, t.step, h.step) AS step, h.batches AS batches, t.* EXCEPT (step)
FROM (
  SELECT intDiv(window_start_ns, {step_ns:d}) * {step_ns:d} AS step, count() AS batches FROM batches
  WHERE {within(question.range, binder)} GROUP BY step
) AS h FULL JOIN (
  SELECT e.step AS step, count() AS edges, sum(e.bytes_forward + e.bytes_reverse) AS bytes, {_ALL}, {_COUNTS}
  FROM {inner} AS e WHERE {condition(question.where, binder)} GROUP BY e.step
) AS t ON h.step = t.step ORDER BY step"""


def lookups(question: Lookups, binder: Binder) -> str:
    """Rows per pod and outcome, from the books of its interface."""
    event = binder.bind(DNS_EVENT, "String")
    return f"""SELECT nullIf(JSONExtractString(book, 'pod_uid'), '') AS pod_uid, substring(told.1, length({event}) + 1) AS outcome,
  sum(told.2) AS lookups
FROM (
  SELECT arrayJoin(JSONExtractArrayRaw(books)) AS book FROM batches
  WHERE {within(question.range, binder)} AND position(books, {event}) > 0
)
ARRAY JOIN JSONExtractKeysAndValues(book, 'other', 'Int64') AS told
WHERE startsWith(told.1, {event}) GROUP BY pod_uid, outcome ORDER BY pod_uid, outcome"""
