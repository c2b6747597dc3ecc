"""`eastwest costs`: what a window of traffic cost, by category, zones and payer."""

from __future__ import annotations

import argparse
from typing import Any

from eastwest.cli import _cost
from eastwest.cli._ask import add_ask_arguments, ask, coverage_notes, recorded_note
from eastwest.cli._table import Head, View, bytes_text, number

EXAMPLES = """examples:
  eastwest costs                         by category, by zones, and the workloads that pay most
  eastwest costs namespace --window 1h
  eastwest costs --json | jq .cost

Flat rates of a dated table (eastwest server --prices FILE): an estimate, not a bill.
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument(
        "by", nargs="?", choices=("pod", "workload", "namespace"), default="workload", help="default: workload"
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="payers (default 20)")
    add_ask_arguments(parser)


def _view(answer: dict[str, Any]) -> View:
    heads = [Head("OF"), Head("NAME", style="cyan"), number("BYTES"), number("COST"), Head("NOT PRICED", drop=1)]
    groups = [("category", answer["categories"]), ("zones", answer["zone_pairs"]), (answer["by"], answer["rows"])]
    rows = [
        [
            of,
            f"{row['namespace']}/{row['name']}" if row.get("namespace") and of != "namespace" else row["name"],
            bytes_text(row["bytes"]),
            _cost.cost_text(row),
            _cost.unpriced_text(row),
        ]
        for of, group in groups
        for row in group
    ]
    notes = recorded_note(answer["window"]) + coverage_notes(answer["incomplete"]) + _cost.notes(answer)
    currency = f" {answer['prices']['currency']}" if answer["prices"] else ""
    return View(f"cost {_cost.cost_text(answer)}{currency}", heads, rows, notes)


def run(args: argparse.Namespace) -> int:
    return ask(args, "/api/v1/costs", {"by": args.by, "limit": str(args.limit)}, _view)
