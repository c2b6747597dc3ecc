"""`eastwest coverage`: what was seen and what was not, in sentences."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from typing import Any, Final

from eastwest.cli._ask import recorded_note
from eastwest.cli._client import (
    ServerError,
    add_server_arguments,
    add_window_arguments,
    get,
    print_json,
    window_parameters,
)
from eastwest.cli._table import Head, View, bytes_text, number, show

EXAMPLES = """examples:
  eastwest coverage
  eastwest coverage --by pod                            the worst pods first; what passed a hook by
  eastwest coverage --by window --window 5m             every window of every node, with clock skew
  eastwest coverage --window 1h --fail-under 0.999      exit 1 when less was accounted for
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--fail-under",
        type=float,
        default=1.0,
        metavar="RATIO",
        help="exit 1 when recorded/hook bytes (of the whole, or with --by pod of one of them) is below this, a node is silent or bytes "
        "are unexplained (default 1.0)",
    )
    parser.add_argument("--by", choices=("node", "pod", "window"), default="node", help="default: node")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="rows with --by pod or window (default 50)")
    add_window_arguments(parser)
    add_server_arguments(parser)


def _causes(row: dict[str, Any]) -> str:
    refused = [f"{h['name']} refused" for h in row.get("hooks", ()) if h["state"] == "refused"]
    lost = [f"{cause} {bytes_text(loss['bytes'])}" for cause, loss in row["lost"].items() if loss["packets"]]
    gaps = [f"{len(row['gaps_ns'])} gaps"] if row.get("gaps_ns") else []
    return ", ".join(lost + gaps + refused) or "nothing"


def _who(row: dict[str, Any], by: str) -> list[str]:
    match by:
        case "pod":
            return [f"{row['namespace']}/{row['pod']}" if row["pod"] else row["pod_uid"] or "unknown", row["node"]]
        case "window":
            start = datetime.fromtimestamp(row["window_start_ns"] / 1e9, UTC).isoformat(timespec="milliseconds")
            return [row["node"], start, f"{row['clock_skew_ns'] / 1e9:+.1f} s"]
        case _:
            return [row["node"], row["state"]]


_FIRST: Final = {"node": ("NODE", "STATE"), "pod": ("POD", "NODE"), "window": ("NODE", "WINDOW FROM", "CLOCK")}
_ROWS: Final = {"node": "nodes", "pod": "pods", "window": "windows"}


def _view(answer: dict[str, Any], by: str) -> View:
    heads = [
        *(Head(name, style=None if i else "cyan") for i, name in enumerate(_FIRST[by])),
        number("AT THE HOOK"),
        number("RECORDED"),
        number("UNEXPLAINED"),
        Head("DECLARED LOST"),
    ]
    rows = [
        [
            *_who(row, by),
            bytes_text(row["hook_bytes"]),
            bytes_text(row["recorded_bytes"]),
            bytes_text(row["unexplained_bytes"]),
            _causes(row),
        ]
        for row in answer[_ROWS[by]] or ()
    ]
    ratio = "unknown" if answer["ratio"] is None else f"{answer['ratio']:.4%}"
    notes = recorded_note(answer["window"]) + list(answer["sentences"]) + list(answer.get("notes", ()))
    if answer["complete"]:
        notes.append("Complete: every byte that reached a hook is in a record.")
    return View(f"accounted: {ratio}", heads, rows, notes)


def _poor(answer: dict[str, Any], fail_under: float) -> bool:
    ratio = answer["ratio"]
    if ratio is None or ratio < fail_under or answer["unexplained_bytes"]:
        return True
    if any(pod["ratio"] < fail_under or pod["unexplained_bytes"] for pod in answer["pods"] or ()):
        return True
    return any(node["state"] != "reporting" for node in answer["nodes"]) and not answer["window"]["recorded"]


def run(args: argparse.Namespace) -> int:
    try:
        answer = get(args, "/api/v1/coverage", {**window_parameters(args), "by": args.by, "limit": str(args.limit)})
    except ServerError as problem:
        print(f"eastwest: {problem}", file=sys.stderr)
        return 2
    if args.json:
        print_json(answer)
    else:
        show(_view(answer, args.by))
    return 1 if _poor(answer, args.fail_under) else 0
