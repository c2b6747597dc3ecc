"""One node's books as plain figures, and the arithmetic that closes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Causes = Mapping[str, Any]
"""What a store answers for losses: "1" causes, "2" bytes, "3" packets."""


@dataclass(slots=True)
class Node:
    """One node's accounts over the range; fields are those of the API's NodeCoverage."""

    node: str
    state: str
    last_window_end_ns: int | None
    hook_bytes: int | None = None
    hook_packets: int | None = None
    recorded_bytes: int | None = None
    recorded_packets: int | None = None
    lost: dict[str, Row] = field(default_factory=dict)
    unexplained_bytes: int | None = None
    unexplained_packets: int | None = None
    folded_edges: int = 0
    gaps_ns: list[tuple[int, int]] = field(default_factory=list)
    clock_skew_ns: int | None = None
    hooks: list[Row] = field(default_factory=list)
    late_windows: int = 0
    late_ns: tuple[int, int] = (0, 0)
    longest_wait_ns: int = 0


def books(row: Row, lost: Causes, beside: Causes) -> Row:
    """Fields that the API's NodeCoverage, PodCoverage and WindowCoverage share.

    `lost` is part of the hooks' totals. `beside` is not (batches that never arrived, what passed a hook by): it is added
    to them, so that the ratio tells of everything that is known to have happened.
    """
    causes: dict[str, Row] = {}
    more = {"bytes": 0, "packets": 0}
    for told, is_beside in ((lost, False), (beside, True)):
        for cause, size, packets in zip(told["1"], told["2"], told["3"], strict=True):
            entry = causes.setdefault(cause, {"bytes": 0, "packets": 0})
            for unit, amount in (("bytes", size), ("packets", packets)):
                entry[unit] += amount
                more[unit] += amount if is_beside else 0
    found: Row = {"lost": {cause: amount for cause, amount in causes.items() if amount["bytes"] or amount["packets"]}}
    for unit in ("bytes", "packets"):
        hook, recorded = row[f"hook_{unit}"] + more[unit], row[f"recorded_{unit}"]
        found[f"hook_{unit}"], found[f"recorded_{unit}"] = hook, recorded
        found[f"unexplained_{unit}"] = hook - recorded - sum(amount[unit] for amount in causes.values())
    found["ratio"] = found["recorded_bytes"] / found["hook_bytes"] if found["hook_bytes"] else 1.0
    return found
