"""`eastwest flows`: the flow table."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from eastwest.cli import _cost, _health
from eastwest.cli._ask import add_ask_arguments, ask, recorded_note
from eastwest.cli._table import UNKNOWN, Head, View, bytes_text, count_text, number

EXAMPLES = """examples:
  eastwest flows                                            inside the cluster, biggest first
  eastwest flows --view aws                                 to AWS services
  eastwest flows --view external --sort connections
  eastwest flows 'src_namespace=ui and dst_port=8080 and bytes_forward>1MB'
  eastwest flows --columns health --sort retransmits_established
  eastwest flows --columns cost --sort cost                 what crosses zones and regions, dearest first
  eastwest flows --limit 1000 --json > flows.json

filter: words are column names (docs/columns.md); = != ~ < <= > >= in (a, b), and, or, not, ( ).
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("filter", nargs="?", metavar="FILTER", help="which rows; see below")
    parser.add_argument("--view", choices=("cluster", "aws", "external"), default="cluster", help="default: cluster")
    parser.add_argument("--columns", choices=_health.COLUMNS, default="traffic", help="default: traffic")
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


def _healthy(row: dict[str, Any]) -> list[str]:
    port = f"{row['protocol']} {row['dst_port']}" if row["dst_port"] else row["protocol"]
    return [_end(row, "src"), _end(row, "dst"), port, *_health.cells(row)]


def _dear(row: dict[str, Any]) -> list[str]:
    return [*_healthy(row)[:3], *_cost.cells(row, row["zone_pair"] or UNKNOWN)]


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        _end(row, "src"),
        row["src_zone"] or UNKNOWN,
        _end(row, "dst"),
        row["dst_zone"] or UNKNOWN,
        f"{row['protocol']} {row['dst_port']}" if row["dst_port"] else row["protocol"],
        row["service"] or UNKNOWN,
        bytes_text(row["bytes_forward"]),
        bytes_text(row["bytes_reverse"]),
        count_text(row["connections"]),
        f"{row['reporter']}, {row['role_source']}",
    ]


HEADS = [
    Head("FROM", style="cyan"),
    Head("ZONE"),
    Head("TO", style="green"),
    Head("ZONE"),
    Head("PORT"),
    Head("SERVICE"),
    number("SENT"),
    number("RECEIVED"),
    number("OPENED"),
    Head("REPORTED BY"),
]


HEALTH_HEADS = [Head("FROM", style="cyan"), Head("TO", style="green"), Head("PORT"), *_health.HEADS]


def _view(answer: dict[str, Any], columns: str = "traffic") -> View:
    notes = recorded_note(answer["window"])
    if answer["next_cursor"]:
        notes.append(f"more rows: --cursor {answer['next_cursor']}")
    if not answer["rows"]:
        notes.append("no rows: nothing in this window matches")
    heads, cells = {
        "health": (HEALTH_HEADS, _healthy),
        "cost": ([*HEALTH_HEADS[:3], *_cost.HEADS], _dear),
        "traffic": (HEADS, _cells),
    }[columns]
    if columns == "cost":
        notes += _cost.notes(answer)
    return View(f"{len(answer['rows'])} flows", heads, [cells(row) for row in answer["rows"]], notes)


def run(args: argparse.Namespace) -> int:
    column = args.sort.lstrip("-")
    params = {"view": args.view, "sort": column if args.ascending else f"-{column}", "limit": str(args.limit)}
    if args.filter:
        params["filter"] = args.filter
    if args.cursor:
        params["cursor"] = args.cursor
    return ask(args, "/api/v1/flows", params, partial(_view, columns=args.columns))
