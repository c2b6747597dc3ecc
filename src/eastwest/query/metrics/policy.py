"""Packets by what the policies decided: per workload, direction, verdict and policy, bounded in number, exact in sum.

Each end decides for its own pod, so every report counts, under the workload of the reporting pod: the sum over series is
the sum of the records' own counters. Nothing is written while no record has carried a verdict (enforcement is off).
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from eastwest.query.metrics.labels import DIRECTION, OTHER, CappedCounters
from eastwest.query.metrics.reports import oriented
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text

pc: Any = pyarrow.compute

LABELS: Final = ("namespace", "workload", "workload_kind", DIRECTION, "verdict", "policy")
PACKETS: Final = Family(
    "eastwest_policy_packets",
    Kind.COUNTER,
    "Packets by what the policies at a workload's pods decided; policy is the last one of each record.",
    "packets",
    LABELS,
)
SERIES: Final = Family(
    "eastwest_policy_series", Kind.GAUGE, "Workloads by policy and verdict with a series of their own."
)
FAMILIES: Final = (PACKETS, SERIES)

_VERDICTS: Final = (
    ("allowed", "policy_allowed", "allowed_by"),
    ("denied", "policy_denied", "denied_by"),
    ("would_deny", "policy_would_deny", "denied_by"),
)


class PolicyCounters:
    """Not thread-safe: `metrics.FlowMetrics` guards it."""

    def __init__(self, limit: int) -> None:
        self._packets = CappedCounters(len(LABELS), 1, limit)

    def take(self, records: pa.Table, now_s: float) -> None:
        """Count every report that carries a verdict."""
        if not all(column in records.column_names for _, column, _ in _VERDICTS):
            return
        for verdict, column, reason in _VERDICTS:
            told = records.filter(pc.greater(records[column], 0))  # null is not
            if told.num_rows:
                told = oriented(told)
                labels = _labels(told, verdict, reason).append_column("packets", told[column])
                self._packets.add_grouped(labels, LABELS, ("packets",), now_s)

    def render(self, out: Exposition) -> None:
        """Write what was decided so far."""
        names, sums, created = self._packets.read()
        if names:
            out.write(PACKETS, [label_text(LABELS, name) for name in names], sums[:, 0], created)
            out.write(SERIES, [""], [sum(name[0] != OTHER for name in names)])


def _labels(records: pa.Table, verdict: str, reason: str) -> pa.Table:
    """The columns of LABELS for each record."""
    at_server = pc.equal(records["reporter"], "server")

    def own(name: str) -> Any:
        return pc.fill_null(pc.if_else(at_server, records[f"dst_{name}"], records[f"src_{name}"]), "")

    # NetworkPolicy shop/web ingress[0] -> NetworkPolicy shop/web: rules are in the flow table, series are few.
    policy = pc.replace_substring_regex(
        pc.fill_null(records[reason], ""), r" (egress|ingress)( isolation|\[[0-9]+\])?$", ""
    )
    columns = [
        own("namespace"),
        own("workload"),
        own("workload_kind"),
        pc.if_else(at_server, "ingress", "egress"),
        pa.array([verdict] * records.num_rows, pa.string()),
        policy,
    ]
    return pa.table(columns, names=list(LABELS))
