"""`eastwest coverage`: what was seen and what was not, in sentences."""

from __future__ import annotations

import argparse
import sys
from typing import Any

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
  eastwest coverage --window 1h --fail-under 0.999      exit 1 when less was accounted for
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--fail-under",
        type=float,
        default=1.0,
        metavar="RATIO",
        help="exit 1 when recorded/hook bytes is below this, a node is silent or bytes are unexplained (default 1.0)",
    )
    add_window_arguments(parser)
    add_server_arguments(parser)


def _causes(node: dict[str, Any]) -> str:
    refused = [f"{h['name']} refused" for h in node["hooks"] if h["state"] == "refused"]
    lost = [f"{cause} {bytes_text(loss['bytes'])}" for cause, loss in node["lost"].items() if loss["packets"]]
    gaps = [f"{len(node['gaps_ns'])} gaps"] if node["gaps_ns"] else []
    return ", ".join(lost + gaps + refused) or "nothing"


def _view(answer: dict[str, Any]) -> View:
    heads = [
        Head("NODE", style="cyan"),
        Head("STATE"),
        number("AT THE HOOK"),
        number("RECORDED"),
        number("UNEXPLAINED"),
        Head("DECLARED LOST"),
    ]
    rows = [
        [
            n["node"],
            n["state"],
            bytes_text(n["hook_bytes"]),
            bytes_text(n["recorded_bytes"]),
            bytes_text(n["unexplained_bytes"]),
            _causes(n),
        ]
        for n in answer["nodes"]
    ]
    ratio = "unknown" if answer["ratio"] is None else f"{answer['ratio']:.4%}"
    notes = recorded_note(answer["window"]) + list(answer["sentences"])
    if answer["complete"]:
        notes.append("Complete: every byte that reached a hook is in a record.")
    return View(f"accounted: {ratio}", heads, rows, notes)


def _poor(answer: dict[str, Any], fail_under: float) -> bool:
    ratio = answer["ratio"]
    if ratio is None or ratio < fail_under or answer["unexplained_bytes"]:
        return True
    return any(node["state"] != "reporting" for node in answer["nodes"]) and not answer["window"]["recorded"]


def run(args: argparse.Namespace) -> int:
    try:
        answer = get(args, "/api/v1/coverage", window_parameters(args))
    except ServerError as problem:
        print(f"eastwest: {problem}", file=sys.stderr)
        return 2
    if args.json:
        print_json(answer)
    else:
        show(_view(answer))
    return 1 if _poor(answer, args.fail_under) else 0
