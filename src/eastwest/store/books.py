# ruff: noqa: S608 - column and table names come from the schema, every value is bound
"""What the agents' books say: batches as they arrived, per node, pod and window. Never reads the flows."""

from __future__ import annotations

from typing import Final

from eastwest.store.questions import NodeBooks, NodeGaps, PodBooks, WindowBooks
from eastwest.store.statement import Binder
from eastwest.store.where import within

_LATE: Final = "b.sent_at_ns - b.window_end_ns > 10000000000"
"""Waited with its agent for longer than any attempt takes, by the agent's own clock."""


def node_books(question: NodeBooks, binder: Binder) -> str:
    return f"""SELECT cluster, node, count() AS batches, sum(b.records) AS records,
  sum(b.hook_bytes) AS hook_bytes, sum(b.hook_packets) AS hook_packets,
  sum(b.recorded_bytes) AS recorded_bytes, sum(b.recorded_packets) AS recorded_packets,
  sum(b.folded_edges) AS folded_edges, sumMap(b.lost_causes, b.lost_bytes, b.lost_packets) AS lost,
  sumMap(b.shipping_causes, b.shipping_bytes, b.shipping_packets) AS shipping,
  max(b.window_end_ns) AS last_window_end_ns, argMax(b.hooks, b.window_end_ns) AS hooks,
  argMax(b.sent_at_ns - b.received_at_ns, b.received_at_ns) AS skew_ns,
  countIf({_LATE}) AS late_windows, minIf(b.window_start_ns, {_LATE}) AS late_start_ns,
  maxIf(b.window_end_ns, {_LATE}) AS late_end_ns, max(b.sent_at_ns - b.window_end_ns) AS longest_wait_ns
FROM batches AS b WHERE {within(question.range, binder)} GROUP BY cluster, node ORDER BY cluster, node"""


_AMOUNT: Final = "Tuple(bytes Int64, packets Int64)"
_BOOK: Final = (
    f"Tuple(pod_uid String, interface String, hook {_AMOUNT}, recorded {_AMOUNT}, "
    f"lost Map(String, {_AMOUNT}), unseen Map(String, {_AMOUNT}))"
)


def _causes(name: str) -> str:
    values = f"mapValues(book.{name})"
    return f"sumMap(mapKeys(book.{name}), tupleElement({values}, 1), tupleElement({values}, 2)) AS {name}"


def pod_books(question: PodBooks, binder: Binder) -> str:
    sums = ", ".join(
        f"sum(book.{what}.{unit}) AS {what}_{unit}" for what in ("hook", "recorded") for unit in ("bytes", "packets")
    )
    return f"""SELECT cluster, node, book.pod_uid AS pod_uid, book.interface AS interface, {sums},
  {_causes("lost")}, {_causes("unseen")}
FROM (
  SELECT cluster, node, arrayJoin(JSONExtract(books, 'Array({_BOOK})')) AS book
  FROM batches WHERE {within(question.range, binder)}
)
GROUP BY cluster, node, pod_uid, interface
ORDER BY arraySum(unseen.2) + abs(hook_bytes - recorded_bytes) DESC, cluster, node, pod_uid, interface
LIMIT {binder.integer(question.limit)}"""


def window_books(question: WindowBooks, binder: Binder) -> str:
    return f"""SELECT cluster, node, window_start_ns, window_end_ns, hook_bytes, hook_packets, recorded_bytes, recorded_packets,
  tuple(lost_causes, lost_bytes, lost_packets) AS lost,
  tuple(shipping_causes, shipping_bytes, shipping_packets) AS shipping, sent_at_ns - received_at_ns AS skew_ns,
  folded_edges
FROM batches WHERE {within(question.range, binder)}
ORDER BY window_start_ns DESC, cluster, node LIMIT {binder.integer(question.limit)}"""


NODE_HISTORY: Final = """SELECT cluster, node, min(b.window_start_ns) AS first_window_start_ns,
  max(b.window_end_ns) AS last_window_end_ns, toInt64(median(b.window_end_ns - b.window_start_ns)) AS window_ns
FROM batches AS b GROUP BY cluster, node ORDER BY cluster, node"""


def node_gaps(question: NodeGaps, binder: Binder) -> str:
    """The end of one stretch of windows to the start of the next, over the whole history of a node."""
    start, end = binder.integer(question.range.start_ns), binder.integer(question.range.end_ns)
    return f"""SELECT cluster, node, greatest(covered_to, {start}) AS gap_start_ns, least(window_start_ns, {end}) AS gap_end_ns
FROM (
  SELECT cluster, node, window_start_ns,
    max(window_end_ns) OVER (PARTITION BY cluster, node ORDER BY window_start_ns, window_end_ns
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered_to
  FROM batches WHERE window_end_ns > {start} - 3600000000000
)
WHERE covered_to > 0 AND window_start_ns > covered_to + {binder.integer(question.tolerance_ns)}
  AND window_start_ns > {start} AND covered_to < {end}
ORDER BY cluster, node, gap_start_ns"""
