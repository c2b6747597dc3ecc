"""The columns of `--columns health`, for the flow table and the map alike."""

from __future__ import annotations

from typing import Any, Final

from eastwest.cli._table import UNKNOWN, Head, count_text, number, us_text

COLUMNS: Final = ("traffic", "health", "policy", "cost")

HEADS: Final = [
    Head("CATEGORY"),
    Head("LOOKED UP AS"),
    number("RTT P50"),
    number("P99"),
    number("MIN"),
    number("SENT AGAIN"),
    number("TIMEOUTS"),
    number("RESETS"),
    number("FAILED"),
    number("DROPS"),
]


def cells(row: dict[str, Any]) -> list[str]:
    """Of a FlowRow or a MapEdge; a dash where no hook of the node tells."""
    return [
        row["category"] or UNKNOWN,
        row["dst_dns_name"] or UNKNOWN,
        *(us_text(row[f"rtt_{name}_us"]) for name in ("p50", "p99", "min")),
        *(count_text(row[name]) for name in ("retransmits", "rtos", "resets", "connection_failures", "drops")),
    ]
