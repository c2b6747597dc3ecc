"""How much of what happened is in the data, from the agents' own books, in figures and in sentences."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from eastwest.query.coverage.node import Node, books
from eastwest.query.coverage.sentences import notes, sentences
from eastwest.store.protocol import Store
from eastwest.store.questions import NodeBooks, NodeGaps, NodeHistory, Range

Row = dict[str, Any]

SILENT_WINDOWS: Final = 3
GRACE_NS: Final = 3_000_000_000
"""A window is at the server this long after it ended, at the latest."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Fields are those of the API's Coverage, without its window."""

    complete: bool
    ratio: float | None
    hook_bytes: int | None
    recorded_bytes: int | None
    lost: dict[str, Row]
    unexplained_bytes: int | None
    unexplained_packets: int | None
    nodes: list[Node]
    sentences: list[str]
    notes: list[str]


def coverage(
    store: Store, range_: Range, now_ns: int, expected: Iterable[str] = (), *, recorded: bool = False
) -> Accounts:
    """The books of every node that ever reported, and of `expected` ones that never did.

    `recorded`: the data ends where it ends, so nobody is silent.
    """
    history = {(h["cluster"], h["node"]): h for h in store.ask(NodeHistory()).to_pylist()}
    accounts = {(b["cluster"], b["node"]): b for b in store.ask(NodeBooks(range_)).to_pylist()}
    gaps: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for gap in store.ask(NodeGaps(range_)).to_pylist():
        gaps.setdefault((gap["cluster"], gap["node"]), []).append((gap["gap_start_ns"], gap["gap_end_ns"]))
    several = len({cluster for cluster, _ in history}) > 1
    nodes = []
    for key, seen in sorted(history.items()):
        if not _in_question(seen, key in accounts, range_):
            continue
        node = Node(
            f"{key[0]}/{key[1]}" if several else key[1],
            _state(seen, min(now_ns, range_.end_ns), recorded),
            seen["last_window_end_ns"],
        )
        node.gaps_ns = gaps.get(key, []) + ([] if recorded else _tail(seen, range_, now_ns))
        _fill(node, accounts.get(key))
        nodes.append(node)
    known = {name for _, name in history}
    nodes += [Node(name, "never", None) for name in sorted(set(expected) - known)]
    return _total(nodes)


def _in_question(seen: Row, has_books: bool, range_: Range) -> bool:
    """A node matters to a range when it reported in it, or had reported before it and not for longer than the range."""
    if has_books:
        return True
    length = range_.end_ns - range_.start_ns
    before = seen["first_window_start_ns"] < range_.end_ns
    return bool(before and seen["last_window_end_ns"] > range_.start_ns - length)


def _state(seen: Row, until_ns: int, recorded: bool) -> str:
    """As it was at the end of the range: who fell silent later was reporting then."""
    late = until_ns - seen["last_window_end_ns"]
    return "silent" if not recorded and late > SILENT_WINDOWS * max(seen["window_ns"], 1) + GRACE_NS else "reporting"


def _tail(seen: Row, range_: Range, now_ns: int) -> list[tuple[int, int]]:
    """The stretch after a node's last window, once it is later than its next window would be."""
    start = max(seen["last_window_end_ns"], range_.start_ns)
    end = min(range_.end_ns, now_ns)
    allowed = SILENT_WINDOWS * max(seen["window_ns"], 1) + GRACE_NS
    return [(start, end)] if end - start > 0 and now_ns - seen["last_window_end_ns"] > allowed else []


def _fill(node: Node, row: Row | None) -> None:
    if row is None:
        return
    found = books(row, row["lost"], row["shipping"])
    node.hook_bytes, node.hook_packets = found["hook_bytes"], found["hook_packets"]
    node.recorded_bytes, node.recorded_packets = found["recorded_bytes"], found["recorded_packets"]
    node.lost = found["lost"]
    node.unexplained_bytes, node.unexplained_packets = found["unexplained_bytes"], found["unexplained_packets"]
    node.folded_edges = row.get("folded_edges", 0)
    node.clock_skew_ns = row["skew_ns"]
    node.hooks = json.loads(row["hooks"])
    node.late_windows = row.get("late_windows", 0)
    if node.late_windows:
        node.late_ns, node.longest_wait_ns = (row["late_start_ns"], row["late_end_ns"]), row["longest_wait_ns"]


def _sum(values: Iterable[int | None]) -> int | None:
    known = [v for v in values if v is not None]
    return sum(known) if known else None


def _total(nodes: list[Node]) -> Accounts:
    lost: dict[str, Row] = {}
    for node in nodes:
        for cause, amount in node.lost.items():
            entry = lost.setdefault(cause, {"bytes": 0, "packets": 0})
            entry["bytes"] += amount["bytes"]
            entry["packets"] += amount["packets"]
    hook, recorded = _sum(n.hook_bytes for n in nodes), _sum(n.recorded_bytes for n in nodes)
    found = sentences(nodes)
    return Accounts(
        complete=bool(nodes) and not found,
        ratio=None if hook is None or recorded is None else (recorded / hook if hook else 1.0),
        hook_bytes=hook,
        recorded_bytes=recorded,
        lost=lost,
        unexplained_bytes=_sum(n.unexplained_bytes for n in nodes),
        unexplained_packets=_sum(n.unexplained_packets for n in nodes),
        nodes=nodes,
        sentences=found,
        notes=notes(nodes),
    )
