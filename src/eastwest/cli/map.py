"""`eastwest map`: who talks to whom."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from eastwest.cli import _cost, _health, _verdict
from eastwest.cli._ask import add_ask_arguments, ask, coverage_notes, recorded_note
from eastwest.cli._table import UNKNOWN, Head, View, bytes_text, count_text, number

EXAMPLES = """examples:
  eastwest map                               every edge of the last 15 minutes, by workload
  eastwest map -n catalog --level pod        one namespace, pod by pod
  eastwest map --window 5m --watch           live
  eastwest map --columns health              round-trip times, retransmissions, resets, drops
  eastwest map --columns cost                what each edge costs, dearest first
  eastwest map --columns policy              what the policies decide, and which rule is missing
  eastwest map --json | jq '.edges | length'
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("-n", "--namespace", metavar="NS", help="only edges with an end in this namespace")
    parser.add_argument("--columns", choices=_health.COLUMNS, default="traffic", help="default: traffic")
    parser.add_argument("--level", choices=("workload", "pod"), default="workload", help="default: workload")
    add_ask_arguments(parser)


def _label(node: dict[str, Any]) -> str:
    name: str = node["name"]
    return f"{node['namespace']}/{name}" if node["namespace"] else name


def _view(answer: dict[str, Any], columns: str = "traffic") -> View:
    names = {node["id"]: _label(node) for node in answer["nodes"]}
    edges = sorted(answer["edges"], key=lambda e: -(e["bytes_forward"] + e["bytes_reverse"]))
    rows = [
        [
            names[e["source"]],
            names[e["target"]],
            f"{e['protocol']} {e['dst_port']}" if e["dst_port"] else e["protocol"],
            f"{e['service']}:{e['service_port']}" if e["service"] else UNKNOWN,
            bytes_text(e["bytes_forward"]),
            bytes_text(e["bytes_reverse"]),
            count_text(e["connections"]),
            count_text(e["connections"] - e["connections_established"])
            if e["connections"] > e["connections_established"]
            else "0",
        ]
        for e in edges
    ]
    heads = [
        Head("FROM", style="cyan"),
        Head("TO", style="green"),
        Head("PORT"),
        Head("THROUGH SERVICE", drop=1),
        number("SENT"),
        number("RECEIVED"),
        number("OPENED"),
        number("UNANSWERED", drop=2),
    ]
    if columns in ("health", "policy"):
        more = _health if columns == "health" else _verdict
        heads = [*heads[:3], *more.HEADS]
        rows = [[*row[:3], *more.cells(e)] for row, e in zip(rows, edges, strict=True)]
    notes = recorded_note(answer["window"]) + coverage_notes(answer["coverage"]["sentences"])
    if columns == "cost":
        zones = {node["id"]: node["zone"] or UNKNOWN for node in answer["nodes"]}
        heads = [*heads[:3], *_cost.HEADS]
        edges.sort(key=lambda e: -(e["cost"] or 0))
        rows = [
            [
                names[e["source"]],
                names[e["target"]],
                f"{e['protocol']} {e['dst_port']}" if e["dst_port"] else e["protocol"],
                *_cost.cells(e, f"{zones[e['source']]}>{zones[e['target']]}"),
            ]
            for e in edges
        ]
        notes += _cost.notes(answer)
    if not rows:
        notes.append(
            "no edges in this window: is an agent running (eastwest coverage), is the window long enough (--window 1h)?"
        )
    return View(f"{len(rows)} edges by {answer['level']}", heads, rows, notes)


def run(args: argparse.Namespace) -> int:
    params = {"level": args.level}
    if args.namespace:
        params["namespace"] = args.namespace
    return ask(args, "/api/v1/service-map", params, partial(_view, columns=args.columns))
