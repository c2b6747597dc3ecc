"""A rollout in words: where it stands per namespace and node, and what would have broken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from eastwest.cli._table import Head, View

Json = dict[str, Any]


def clock(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%H:%M:%S")


def progress(event: Json) -> str:
    """One event as a line."""
    return f"{clock(event['at_ns'])} {event['text']}"


def view(rollout: Json) -> View:
    """Modes per namespace and node; below it the step, and what every stop found."""
    nodes = sorted({c["node"] for c in rollout["cells"]})
    cells = {(c["namespace"], c["node"]): c for c in rollout["cells"]}
    rows = [[ns, *(_mode(cells[ns, node]) for node in nodes)] for ns in rollout["namespaces"]]
    return View(_title(rollout), [Head("NAMESPACE", style="cyan"), *map(Head, nodes)], rows, list(_notes(rollout)))


def _mode(cell: Json) -> str:
    """Both directions in one word where they are equal; a mark where it is asked for but not in force."""
    same = cell["ingress"] == cell["egress"]
    word = cell["ingress"] if same else f"ingress {cell['ingress']}, egress {cell['egress']}"
    return f"{word} (not yet)" if cell["in_force"] is False else str(word)


def _title(rollout: Json) -> str:
    return f"rollout {rollout['id']} to {rollout['to']}: {rollout['status']}, step {rollout['step']} of {len(rollout['steps'])}"


def _notes(rollout: Json) -> Iterator[str]:
    yield _title(rollout)
    current = next((s for s in rollout["steps"] if s["state"] == "current"), None)
    if current is not None and rollout["status"] in ("running", "paused"):
        watched = rollout["watched_s"]
        held = (
            "not in force everywhere yet"
            if watched is None
            else f"watched for {watched:.0f} of {rollout['hold_s']:.0f} s"
        )
        yield f"{current['name']}: {held}"
    for cell in rollout["cells"]:
        if cell["why_not"]:
            yield f"{cell['namespace']} on {cell['node']}: {cell['why_not']}"
    if rollout["trouble"]:
        yield rollout["trouble"]
    if rollout["stops"] and rollout["status"] == "stopped":
        yield from stop_lines(rollout["stops"][-1])
    for flow in rollout["not_seen_before"]:
        yield f"not seen before: {flow['src']} -> {flow['dst']} {flow['protocol']} {flow['dst_port']} ({flow['reason']})"


def stop_lines(stop: Json) -> Iterator[str]:
    """What a gate found, and the rules that are missing, ready to paste."""
    back = ", ".join(stop["rolled_back"]) or "nothing"
    yield f"{clock(stop['at_ns'])} stopped at {stop['step']}; rolled back: {back}"
    for finding in stop["findings"]:
        yield f"{finding['gate']}: {finding['text']}"
        if finding["flow"] and finding["flow"]["missing"]:
            yield "missing:"
            yield from (f"  {line}" for line in finding["flow"]["missing"].splitlines())
