"""The columns of `--columns policy`, for the flow table and the map alike."""

from __future__ import annotations

from typing import Any, Final

from eastwest.cli._table import UNKNOWN, Head, count_text, number

CHOICES: Final = ("denied", "would-deny", "allowed")
HEADS: Final = [Head("VERDICT", style="bold"), number("ALLOWED", drop=2), number("DENIED", drop=1), number("WOULD DENY", drop=1), Head("DECIDED BY"), Head("MISSING")]  # fmt: skip
_WORDS: Final = {"would_deny": "would deny"}


def cells(row: dict[str, Any]) -> list[str]:
    """Of a FlowRow or a MapEdge; a dash where nobody decided."""
    return [
        _WORDS.get(row["verdict"], row["verdict"]) or UNKNOWN,
        *(count_text(row[f"policy_{name}"]) for name in ("allowed", "denied", "would_deny")),
        _reasons(row) or UNKNOWN,
        row["missing"] or UNKNOWN,
    ]


def _reasons(row: dict[str, Any]) -> str:
    """Who denied, else who allowed."""
    for what in ("denied", "allowed"):
        found = [row[f"{side}_{what}_by"] for side in ("egress", "ingress") if row[f"{side}_{what}_by"]]
        if found:
            return ", ".join(found)
    return ""
