"""What is announced when records become visible."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Landed:
    """New records of `nodes` are in the store; `window_end_ns` is the newest end among their windows."""

    window_end_ns: int
    rows: int
    batches: int
    nodes: frozenset[str]


def together(news: list[Landed]) -> Landed:
    """Several announcements as one; `news` is not empty."""
    return Landed(
        max(n.window_end_ns for n in news),
        sum(n.rows for n in news),
        sum(n.batches for n in news),
        frozenset().union(*(n.nodes for n in news)),
    )
