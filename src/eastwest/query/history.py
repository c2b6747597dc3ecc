"""How a range went: the same sums step by step, and which steps nobody watched."""

from __future__ import annotations

from typing import Any, Final

from eastwest.store.predicates import Predicate
from eastwest.store.protocol import Store
from eastwest.store.questions import History, Range
from eastwest.store.source import ROLLUP_FROM_NS

Row = dict[str, Any]

MOST_STEPS: Final = 25
_SECOND: Final = 1_000_000_000
_LENGTHS: Final = (5, 10, 15, 30)
_LONG: Final = (*(60 * n for n in (1, 2, 5, 10, 15, 30)), *(3600 * n for n in (1, 2, 3, 6, 12)),
                *(86400 * n for n in (1, 2, 5, 10, 20)))  # fmt: skip
_PHASES: Final = ("syn", "established", "closing")
_KEPT: Final = ("edges", "bytes", "connections", "connections_established", "connection_failures", "resets", "drops",
                "policy_denied", "policy_would_deny", "denied_edges")  # fmt: skip
_ALWAYS: Final = ("edges", "bytes", "connections", "connections_established", "denied_edges")


def step_of(range_: Range) -> int:
    """The length of a step: round, and such that the range has at most MOST_STEPS; whole minutes for long ranges."""
    span = range_.end_ns - range_.start_ns
    lengths = _LONG if span >= ROLLUP_FROM_NS else (*_LENGTHS, *_LONG)
    return next((n * _SECOND for n in lengths if span <= (MOST_STEPS - 1) * n * _SECOND), _LONG[-1] * _SECOND)


def history(store: Store, range_: Range, where: Predicate) -> list[Row]:
    """The fields of the API's HistoryPoint for every step of the range, in order of time."""
    step = step_of(range_)
    told = {row["step"]: row for row in store.ask(History(range_, step, where)).to_pylist()}
    first = range_.start_ns // step * step
    return [
        _point(told.get(at)) | {"start_ns": max(at, range_.start_ns), "end_ns": min(at + step, range_.end_ns)}
        for at in range(first, range_.end_ns, step)
    ]


def _point(row: Row | None) -> Row:
    """Nothing is known of a step without an agent's window; without an edge, what is always counted is 0."""
    if row is None or not (row["batches"] or row["edges"]):
        return dict.fromkeys((*_KEPT, "retransmits", "rtos")) | {"watched": False}
    found: Row = {name: row[name] for name in _KEPT}
    for what in ("retransmits", "rtos"):
        known = [v for phase in _PHASES if (v := row[f"{what}_{phase}"]) is not None]
        found[what] = sum(known) if known else None
    return found | {name: found[name] or 0 for name in _ALWAYS} | {"watched": True}
