"""What is missing, in words that say what to do next; and what looked so and came later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from eastwest.query.coverage.node import Node

SKEW_NS: Final = 2_000_000_000
NAMED: Final = 3
"""Columns that a refused hook's sentence names; the answer's hooks have all of them."""
_WORDS: Final = {
    "hook_bypass": "passed pods' interfaces without reaching a hook: another program redirects them, or a hook was taken "
    "away (which pods: eastwest coverage --by pod)",
    "buffer_full": "waited for the server until the agent's memory for them was full, and are lost (--spool DIR at the agent keeps "
    "windows on disk)",
    "spool_full": "waited for the server until the agent's spool was full, and are lost (a larger --spool-bytes keeps more)",
    "spool_corrupt": "waited for the server in files that went bad, and are lost (the agent's log names them)",
    "agent_ended": "waited for the server in the memory of an agent that ended, and are lost (--spool DIR at the agent keeps windows "
    "on disk)",
    "poison": "were refused by the server for good, and are lost (its log and the agent's say why)",
    "too_large": "were in windows too large for the server, and are lost (a shorter --tick at the agent makes smaller ones)",
}
"""Causes that need more than their name."""

_GAPS_TOLD: Final = 3


def sentences(nodes: list[Node]) -> list[str]:
    """Worst first: unexplained, never, silent, lost, gaps, clocks, hooks. Empty when complete."""
    if not nodes:
        return ["No agent has reported in this range."]
    words = [(rank, f"{n.node}: {text}") for n in nodes for rank, text in _of(n)]
    return [text for _, text in sorted(words, key=lambda item: item[0])]


def notes(nodes: list[Node]) -> list[str]:
    """What is not missing though it was for a while: windows that waited for the server."""
    return [
        f"{n.node}: {n.late_windows} window{'s' if n.late_windows > 1 else ''} from {_span(*n.late_ns)} waited with the agent for the "
        f"server, {n.longest_wait_ns / 1e9:.0f} s at the longest; they came in and are counted."
        for n in nodes
        if n.late_windows
    ]


def _span(start_ns: int, end_ns: int) -> str:
    """Whole seconds, UTC; the date once where both are of one day."""
    start, end = (datetime.fromtimestamp(ns // 1_000_000_000, UTC) for ns in (start_ns, end_ns))
    until = f"{end:%H:%M:%S}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    return f"{start:%Y-%m-%d %H:%M:%S} to {until} UTC"


def _moment(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _few(names: Sequence[str]) -> str:
    """The first of them, and how many more there are; `agent --probe` on the node lists all."""
    more = len(names) - NAMED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:NAMED])} and {more} more columns"


def _of(n: Node) -> Iterator[tuple[int, str]]:
    if n.unexplained_bytes or n.unexplained_packets:
        size, packets = n.unexplained_bytes, n.unexplained_packets
        yield 0, f"{size} bytes in {packets} packets at the hook are in no record and no declared loss."
    if n.state == "never":
        yield 1, "no agent has ever reported from this node."
    if n.state == "silent":
        since = "" if n.last_window_end_ns is None else f" It ended at {_moment(n.last_window_end_ns)}."
        yield 2, f"silent; its last window is older than three of its windows.{since}"
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
        longest = sorted(sorted(n.gaps_ns, key=lambda gap: gap[0] - gap[1])[:_GAPS_TOLD])
        which = ", ".join(_span(*gap) for gap in longest) + (" and shorter ones" if len(n.gaps_ns) > _GAPS_TOLD else "")
        gaps = f"{len(n.gaps_ns)} gap{'s' if len(n.gaps_ns) > 1 else ''}"
        yield 4, f"{gaps} without a report, {total_s:.0f} s in all: {which}."
    if n.clock_skew_ns is not None and n.clock_skew_ns > SKEW_NS:
        yield 5, f"its clock is {n.clock_skew_ns / 1e9:.1f} s ahead of the server's."
    if n.clock_skew_ns is not None and n.clock_skew_ns < -SKEW_NS:
        yield (
            5,
            f"its clock is {-n.clock_skew_ns / 1e9:.1f} s behind the server's, or its batches take that long to arrive.",
        )
    for hook in n.hooks:
        if hook["state"] == "refused":
            without = f"; unknown without it: {_few(hook['columns'])}" if hook["columns"] else ""
            yield 6, f"the kernel refused hook {hook['name']} ({hook['reason'] or 'no reason given'}){without}."
        elif hook["state"] == "on" and hook["reason"]:
            yield 7, f"hook {hook['name']} works {hook['reason']}."
