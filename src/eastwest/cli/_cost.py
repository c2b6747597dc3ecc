"""Amounts of money for people, never without the table they were made with."""

from __future__ import annotations

from typing import Any, Final

from eastwest.cli._table import UNKNOWN, Head, bytes_text, number

HEADS: Final = [Head("CATEGORY", drop=3), Head("ZONES"), number("SENT", drop=1), number("RECEIVED", drop=1), number("COST"), Head("NOT PRICED", drop=2)]  # fmt: skip

_REASONS: Final = {
    "no_price_table": "no price table",
    "end_unknown": "an end is unknown",
    "zone_unknown": "a zone is unknown",
    "region_unknown": "a region is unknown",
}


def cost_text(row: dict[str, Any]) -> str:
    """'$'-free: 0.0123, never with an exponent; '≥' where a part has no price; a dash where nothing has."""
    if row["cost"] is None:
        return UNKNOWN
    cost = row["cost"]
    amount = f"{cost:.2f}" if cost >= 100 or cost == 0 else f"{cost:.3g}" if cost >= 0.0001 else "< 0.0001"
    return f"≥ {amount}" if row["unpriced_bytes"] else amount


def unpriced_text(row: dict[str, Any]) -> str:
    """How much is not in the amount, and why; empty when all is."""
    if not row["unpriced_reason"]:
        return ""
    return f"{bytes_text(row['unpriced_bytes'])}: {_REASONS[row['unpriced_reason']]}"


def cells(row: dict[str, Any], zones: str) -> list[str]:
    """Of a FlowRow or a MapEdge."""
    sent, received = bytes_text(row["bytes_forward"]), bytes_text(row["bytes_reverse"])
    return [row["category"] or UNKNOWN, zones, sent, received, cost_text(row), unpriced_text(row)]


def notes(answer: dict[str, Any]) -> list[str]:
    """Date and source of the prices."""
    prices = answer["prices"]
    if prices is None:
        return ["no price table: the server knows no cost"]
    return [f"cost in {prices['currency']}, estimated by {prices['name']!r} of {prices['as_of']}: {prices['source']}"]
