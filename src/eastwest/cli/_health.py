"""The columns of `--columns health`, for the flow table and the map alike."""

from __future__ import annotations

from typing import Any, Final

from eastwest.cli._table import UNKNOWN, Head, count_text, number, us_text

COLUMNS: Final = ("traffic", "health", "policy", "cost")

HEADS: Final = [
    Head("CATEGORY", drop=3),
    Head("LOOKED UP AS", drop=4),
    number("RTT P50"),
    number("P99"),
    number("MIN", drop=2),
    number("SENT AGAIN"),
    number("TIMEOUTS", drop=1),
    number("RESETS"),
    number("FAILED"),
    number("DROPS", drop=1),
]


def cells(row: dict[str, Any]) -> list[str]:
    """Of a FlowRow or a MapEdge; a dash where no hook of the node tells."""
    return [
        row["category"] or UNKNOWN,
        row["dst_dns_name"] or UNKNOWN,
        *(us_text(row[f"rtt_{name}_us"]) for name in ("p50", "p99", "min")),
        *(count_text(row[name]) for name in ("retransmits", "rtos", "resets", "connection_failures", "drops")),
    ]
