"""TCP health of an edge in figures that people read, from the sums that merge. Pure; None where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from eastwest.model.histogram import BUCKETS, quantile

_PHASES: Final = ("syn", "established", "closing")
BUCKET_COLUMNS: Final = tuple(f"rtt_bucket_{i:02d}" for i in range(BUCKETS))
SUMS: Final = (
    "connection_attempts",
    "connection_failures",
    "resets",
    "connection_timeouts",
    *(f"{what}_{phase}" for what in ("retransmits", "rtos") for phase in _PHASES),
    "connect_sum_us",
    "connect_count",
    "rtt_sum_us",
    "rtt_count",
    *BUCKET_COLUMNS,
    "drops",
)
"""Columns that an answer needs for `health`, besides `rtt_min_us`."""

_AS_THEY_ARE: Final = tuple(n for n in SUMS if not n.startswith(("rtt_", "connect_")))


def health(row: Mapping[str, Any]) -> dict[str, float | int | None]:
    """The fields of the API's TcpHealth from a row with SUMS and rtt_min_us; times in µs."""
    counts = [row[name] for name in BUCKET_COLUMNS]
    known = None not in counts
    return {
        **{name: row[name] for name in _AS_THEY_ARE},
        "retransmits": _total(row, "retransmits"),
        "rtos": _total(row, "rtos"),
        "connect_mean_us": _mean(row, "connect"),
        "rtt_min_us": row["rtt_min_us"],
        "rtt_mean_us": _mean(row, "rtt"),
        "rtt_p50_us": quantile(counts, 0.5) if known else None,
        "rtt_p99_us": quantile(counts, 0.99) if known else None,
    }


def _total(row: Mapping[str, Any], what: str) -> int | None:
    known = [row[f"{what}_{phase}"] for phase in _PHASES if row[f"{what}_{phase}"] is not None]
    return sum(known) if known else None


def _mean(row: Mapping[str, Any], what: str) -> float | None:
    return row[f"{what}_sum_us"] / row[f"{what}_count"] if row[f"{what}_count"] else None
