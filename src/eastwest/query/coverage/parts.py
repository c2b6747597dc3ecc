"""The same books pod by pod, and window by window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eastwest.query.coverage.node import books
from eastwest.store.protocol import Store
from eastwest.store.questions import PodBooks, Range, WindowBooks

Row = dict[str, Any]


def by_pod(store: Store, range_: Range, names: Mapping[str, tuple[str, str]], limit: int) -> list[Row]:
    """Rows whose fields are those of the API's PodCoverage, the worst first; `names`: pod UID -> (namespace, name)."""
    rows = []
    for row in store.ask(PodBooks(range_, limit)).to_pylist():
        namespace, pod = names.get(row["pod_uid"], (None, None))
        who = {"node": row["node"], "namespace": namespace, "pod": pod, "pod_uid": row["pod_uid"] or None}
        rows.append(who | {"interface": row["interface"]} | books(row, row["lost"], row["unseen"]))
    return rows


def by_window(store: Store, range_: Range, limit: int) -> list[Row]:
    """Rows whose fields are those of the API's WindowCoverage, the newest first."""
    return [
        {
            "node": row["node"],
            "window_start_ns": row["window_start_ns"],
            "window_end_ns": row["window_end_ns"],
            "clock_skew_ns": row["skew_ns"],
            "folded_edges": row["folded_edges"],
            **books(row, row["lost"], row["shipping"]),
        }
        for row in store.ask(WindowBooks(range_, limit)).to_pylist()
    ]
