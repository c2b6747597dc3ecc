"""`eastwest flows`: the flow table."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from eastwest.cli import _cost, _health, _verdict
from eastwest.cli._ask import add_ask_arguments, ask, coverage_notes, recorded_note
from eastwest.cli._parser import Parser
from eastwest.cli._table import UNKNOWN, Head, View, bytes_text, count_text, number

EXAMPLES = """examples:
  eastwest flows                                            inside the cluster, biggest first
  eastwest flows --view aws                                 to AWS services
  eastwest flows --view external --sort connections
  eastwest flows --view all 'src_node=node-1 or dst_node=node-1'   whatever a node has to do with
  eastwest flows 'src_namespace=ui and dst_port=8080 and bytes_forward>1MB'
  eastwest flows --columns health --sort retransmits_established
  eastwest flows --columns cost --sort cost                 what crosses zones and regions, dearest first
  eastwest flows --verdict denied                           what the policies drop, and which rule is missing
  eastwest flows --verdict would-deny -n shop               what enforcing would break (audit)
  eastwest flows --limit 1000 --json > flows.json

filter: words are column names (docs/columns.md); = != ~ < <= > >= in (a, b), and, or, not, ( ).
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    if isinstance(parser, Parser):
        parser.filter_words = True
    parser.add_argument("filter", nargs="?", metavar="FILTER", help="which rows; see below")
    parser.add_argument(
        "--view", choices=("cluster", "aws", "external", "all"), help="default: cluster; all with --verdict"
    )
    parser.add_argument("-n", "--namespace", metavar="NS", help="only flows with an end in this namespace")
    parser.add_argument(
        "--verdict", choices=_verdict.CHOICES, help="only flows that the policies decided so, at any end"
    )
    parser.add_argument(
        "--columns", choices=_health.COLUMNS, help="default: traffic; policy with --verdict denied or would-deny"
    )
    parser.add_argument(
        "--sort", default="bytes_forward", metavar="COLUMN", help="largest first (default bytes_forward)"
    )
    parser.add_argument("--ascending", action="store_true", help="smallest first")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="rows on this page (default 50)")
    parser.add_argument("--cursor", metavar="CURSOR", help="next page, as the previous one printed it")
    add_ask_arguments(parser)


def _end(row: dict[str, Any], side: str) -> str:
    """The best name of one end; an address when there is none."""
    if row[f"{side}_pod"]:
        return f"{row[f'{side}_namespace']}/{row[f'{side}_pod']}"
    if row[f"{side}_aws_service"]:
        return f"{row[f'{side}_aws_service']} {row[f'{side}_region'] or ''} ({row[f'{side}_ip']})"
    if row[f"{side}_kind"] == "node":
        return f"node {row[f'{side}_node']}"
    return str(row[f"{side}_dns_name"] or row[f"{side}_ip"])


def _port(row: dict[str, Any]) -> str:
    return f"{row['protocol']} {row['dst_port']}" if row["dst_port"] else row["protocol"]


def _dear(row: dict[str, Any]) -> list[str]:
    return _cost.cells(row, row["zone_pair"] or UNKNOWN)


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        _end(row, "src"),
        row["src_zone"] or UNKNOWN,
        _end(row, "dst"),
        row["dst_zone"] or UNKNOWN,
        _port(row),
        row["service"] or UNKNOWN,
        bytes_text(row["bytes_forward"]),
        bytes_text(row["bytes_reverse"]),
        count_text(row["connections"]),
        f"{row['reporter']}, {row['role_source']}",
    ]


HEADS = [
    Head("FROM", style="cyan"),
    Head("ZONE", drop=2),
    Head("TO", style="green"),
    Head("ZONE", drop=2),
    Head("PORT"),
    Head("SERVICE", drop=1),
    number("SENT"),
    number("RECEIVED"),
    number("OPENED"),
    Head("REPORTED BY", drop=3),
]


ENDS = [Head("FROM", style="cyan"), Head("TO", style="green"), Head("PORT")]
MORE = {
    "health": (_health.HEADS, _health.cells),
    "policy": (_verdict.HEADS, _verdict.cells),
    "cost": (_cost.HEADS, _dear),
}
"""What stands beside the ends, by --columns."""


def _view(answer: dict[str, Any], columns: str = "traffic") -> View:
    notes = recorded_note(answer["window"]) + coverage_notes(answer["incomplete"])
    if answer["next_cursor"]:
        notes.append(f"more rows: --cursor {answer['next_cursor']}")
    if not answer["rows"]:
        notes.append("no rows: nothing in this window matches (a longer one: --window 1h)")
    title, rows = f"{len(answer['rows'])} flows", answer["rows"]
    if columns == "cost":
        notes += _cost.notes(answer)
    if columns not in MORE:
        return View(title, HEADS, [_cells(row) for row in rows], notes)
    heads, cells = MORE[columns]
    named = [[_end(row, "src"), _end(row, "dst"), _port(row), *cells(row)] for row in rows]
    return View(title, [*ENDS, *heads], named, notes)


def run(args: argparse.Namespace) -> int:
    column = args.sort.lstrip("-")
    params = {"sort": column if args.ascending else f"-{column}", "limit": str(args.limit)}
    view = None if args.view == "all" else args.view or (None if args.verdict else "cluster")
    chosen = {"view": view, "verdict": args.verdict, "namespace": args.namespace}
    params |= {name: value for name, value in chosen.items() if value}
    if args.filter:
        params["filter"] = args.filter
    if args.cursor:
        params["cursor"] = args.cursor
    columns = args.columns or ("policy" if args.verdict in ("denied", "would-deny") else "traffic")
    return ask(args, "/api/v1/flows", params, partial(_view, columns=columns))
