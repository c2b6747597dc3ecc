"""What is missing, in words that say what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eastwest.query.coverage.node import Node

SKEW_NS: Final = 2_000_000_000
_WORDS: Final = {
    "hook_bypass": "passed pods' interfaces without reaching a hook: another program redirects them, or a hook was taken "
    "away (which pods: eastwest coverage --by pod)",
}
"""Causes that need more than their name."""


def sentences(nodes: list[Node]) -> list[str]:
    """Worst first: unexplained, never, silent, lost, gaps, clocks, hooks. Empty when complete."""
    if not nodes:
        return ["No agent has reported in this range."]
    words = [(rank, f"{n.node}: {text}") for n in nodes for rank, text in _of(n)]
    return [text for _, text in sorted(words, key=lambda item: item[0])]


def _of(n: Node) -> Iterator[tuple[int, str]]:
    if n.unexplained_bytes or n.unexplained_packets:
        size, packets = n.unexplained_bytes, n.unexplained_packets
        yield 0, f"{size} bytes in {packets} packets at the hook are in no record and no declared loss."
    if n.state == "never":
        yield 1, "no agent has ever reported from this node."
    if n.state == "silent":
        yield 2, "silent; its last window is older than three of its windows."
    for cause, amount in sorted(n.lost.items(), key=lambda item: -item[1]["bytes"]):
        what = _WORDS.get(cause, f"lost to {cause.replace('_', ' ')}")
        yield 3, f"{amount['bytes']} bytes in {amount['packets']} packets {what}."
    if n.folded_edges:
        yield (
            4,
            f"{n.folded_edges} edges beyond the node's budget have no name: they add up in __other__ of their pods.",
        )
    if n.gaps_ns and n.state != "silent":
        total_s = sum(end - start for start, end in n.gaps_ns) / 1e9
        yield 4, f"{len(n.gaps_ns)} gap{'s' if len(n.gaps_ns) > 1 else ''} without a report, {total_s:.0f} s in all."
    if n.clock_skew_ns is not None and n.clock_skew_ns > SKEW_NS:
        yield 5, f"its clock is {n.clock_skew_ns / 1e9:.1f} s ahead of the server's."
    if n.clock_skew_ns is not None and n.clock_skew_ns < -SKEW_NS:
        yield (
            5,
            f"its clock is {-n.clock_skew_ns / 1e9:.1f} s behind the server's, or its batches take that long to arrive.",
        )
    for hook in n.hooks:
        if hook["state"] == "refused":
            columns = ", ".join(hook["columns"])
            without = f"; unknown without it: {columns}" if columns else ""
            yield 6, f"the kernel refused hook {hook['name']} ({hook['reason'] or 'no reason given'}){without}."
        elif hook["state"] == "on" and hook["reason"]:
            yield 7, f"hook {hook['name']} works {hook['reason']}."
