"""`eastwest top`: who moves the most."""

from __future__ import annotations

import argparse
from typing import Any

from eastwest.cli import _cost
from eastwest.cli._ask import add_ask_arguments, ask, coverage_notes, recorded_note
from eastwest.cli._table import Head, View, bytes_text, count_text, number

EXAMPLES = """examples:
  eastwest top                          pods by bytes
  eastwest top workload --metric connections
  eastwest top namespace --by cost      who pays for zones, regions and the internet
  eastwest top namespace --window 1h --watch
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("by", nargs="?", choices=("pod", "workload", "namespace"), default="pod", help="default: pod")
    parser.add_argument(
        "--metric",
        "--by",
        choices=("bytes", "packets", "connections", "cost"),
        default="bytes",
        help="most of what comes first (default: bytes)",
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="rows (default 20)")
    add_ask_arguments(parser)


def _view(answer: dict[str, Any]) -> View:
    heads = [
        Head("NAMESPACE"),
        Head("NAME", style="cyan"),
        Head("KIND", drop=3),
        number("BYTES"),
        number("SENT", drop=1),
        number("RECEIVED", drop=1),
        number("PACKETS", drop=2),
        number("CONNECTIONS"),
        number("COST"),
        Head("NOT PRICED", drop=4),
    ]
    rows = [
        [
            r["namespace"] or "",
            r["name"],
            r["kind"],
            bytes_text(r["bytes"]),
            bytes_text(r["bytes_sent"]),
            bytes_text(r["bytes_received"]),
            count_text(r["packets"]),
            count_text(r["connections"]),
            _cost.cost_text(r),
            _cost.unpriced_text(r),
        ]
        for r in answer["rows"]
    ]
    notes = recorded_note(answer["window"]) + coverage_notes(answer["incomplete"]) + _cost.notes(answer)
    return View(f"top {answer['by']}s by {answer['metric']}", heads, rows, notes)


def run(args: argparse.Namespace) -> int:
    return ask(args, "/api/v1/top", {"by": args.by, "metric": args.metric, "limit": str(args.limit)}, _view)
