"""How much of what happened is in the data, from the agents' own books, in figures and in sentences."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from eastwest.store.protocol import Store
from eastwest.store.questions import NodeBooks, NodeGaps, NodeHistory, Range

Row = dict[str, Any]

SILENT_WINDOWS: Final = 3
SKEW_NS: Final = 2_000_000_000
GRACE_NS: Final = 3_000_000_000
"""A window is at the server this long after it ended, at the latest."""


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
    gaps_ns: list[tuple[int, int]] = field(default_factory=list)
    clock_skew_ns: int | None = None
    hooks: list[Row] = field(default_factory=list)


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


def coverage(
    store: Store, range_: Range, now_ns: int, expected: Iterable[str] = (), *, recorded: bool = False
) -> Accounts:
    """The books of every node that ever reported, and of `expected` ones that never did.

    `recorded`: the data ends where it ends, so nobody is silent.
    """
    history = {(h["cluster"], h["node"]): h for h in store.ask(NodeHistory()).to_pylist()}
    books = {(b["cluster"], b["node"]): b for b in store.ask(NodeBooks(range_)).to_pylist()}
    gaps: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for gap in store.ask(NodeGaps(range_)).to_pylist():
        gaps.setdefault((gap["cluster"], gap["node"]), []).append((gap["gap_start_ns"], gap["gap_end_ns"]))
    several = len({cluster for cluster, _ in history}) > 1
    nodes = []
    for key, seen in sorted(history.items()):
        if not _in_question(seen, key in books, range_):
            continue
        node = Node(
            f"{key[0]}/{key[1]}" if several else key[1],
            _state(seen, min(now_ns, range_.end_ns), recorded),
            seen["last_window_end_ns"],
        )
        node.gaps_ns = gaps.get(key, []) + ([] if recorded else _tail(seen, range_, now_ns))
        _fill(node, books.get(key))
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


def _fill(node: Node, books: Row | None) -> None:
    if books is None:
        return
    lost: dict[str, Row] = {}
    shipping = {"bytes": 0, "packets": 0}
    for name in ("lost", "shipping"):
        for cause, size, packets in zip(books[name]["1"], books[name]["2"], books[name]["3"], strict=True):
            entry = lost.setdefault(cause, {"bytes": 0, "packets": 0})
            entry["bytes"] += size
            entry["packets"] += packets
            if name == "shipping":
                shipping["bytes"] += size
                shipping["packets"] += packets
    node.lost = {cause: amount for cause, amount in lost.items() if amount["bytes"] or amount["packets"]}
    # Batches that never arrived were at the hook, too; only their loss is told.
    node.hook_bytes = books["hook_bytes"] + shipping["bytes"]
    node.hook_packets = books["hook_packets"] + shipping["packets"]
    node.recorded_bytes, node.recorded_packets = books["recorded_bytes"], books["recorded_packets"]
    node.unexplained_bytes = node.hook_bytes - node.recorded_bytes - sum(a["bytes"] for a in lost.values())
    node.unexplained_packets = node.hook_packets - node.recorded_packets - sum(a["packets"] for a in lost.values())
    node.clock_skew_ns = books["skew_ns"]
    node.hooks = json.loads(books["hooks"])


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
    sentences = _sentences(nodes)
    return Accounts(
        complete=bool(nodes) and not sentences,
        ratio=None if hook is None or recorded is None else (recorded / hook if hook else 1.0),
        hook_bytes=hook,
        recorded_bytes=recorded,
        lost=lost,
        unexplained_bytes=_sum(n.unexplained_bytes for n in nodes),
        unexplained_packets=_sum(n.unexplained_packets for n in nodes),
        nodes=nodes,
        sentences=sentences,
    )


def _sentences(nodes: list[Node]) -> list[str]:
    """Worst first: unexplained, never, silent, lost, gaps, hooks."""
    if not nodes:
        return ["No agent has reported in this range."]
    words: list[tuple[int, str]] = []
    for n in nodes:
        if n.unexplained_bytes or n.unexplained_packets:
            words.append(
                (
                    0,
                    f"{n.node}: {n.unexplained_bytes} bytes in {n.unexplained_packets} packets at the hook are in no record and no declared loss.",
                )
            )
        if n.state == "never":
            words.append((1, f"{n.node}: no agent has ever reported from this node."))
        if n.state == "silent":
            words.append((2, f"{n.node}: silent; its last window is older than three of its windows."))
        for cause, amount in sorted(n.lost.items(), key=lambda item: -item[1]["bytes"]):
            words.append(
                (
                    3,
                    f"{n.node}: {amount['bytes']} bytes in {amount['packets']} packets lost to {cause.replace('_', ' ')}.",
                )
            )
        if n.gaps_ns and n.state != "silent":
            total_s = sum(end - start for start, end in n.gaps_ns) / 1e9
            words.append(
                (
                    4,
                    f"{n.node}: {len(n.gaps_ns)} gap{'s' if len(n.gaps_ns) > 1 else ''} without a report, {total_s:.0f} s in all.",
                )
            )
        if n.clock_skew_ns is not None and n.clock_skew_ns > SKEW_NS:
            words.append((5, f"{n.node}: its clock is {n.clock_skew_ns / 1e9:.1f} s ahead of the server's."))
        for hook in n.hooks:
            if hook["state"] == "refused":
                columns = ", ".join(hook["columns"])
                without = f"; unknown without it: {columns}" if columns else ""
                words.append(
                    (
                        6,
                        f"{n.node}: the kernel refused hook {hook['name']} ({hook['reason'] or 'no reason given'}){without}.",
                    )
                )
    return [text for _, text in sorted(words, key=lambda item: item[0])]
