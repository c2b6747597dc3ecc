"""`eastwest policy connections`: every permitted connection between workloads and external ranges."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from eastwest.cli._table import Head, View, show
from eastwest.cli.policy._cluster import add_cluster, completed
from eastwest.cli.policy._graph import dot, mermaid
from eastwest.cli.policy._input import InputError, add_options, engine_of, exit_code, fail, read
from eastwest.policy.connections import Connection, connections

EXAMPLES: Final = """examples:
  eastwest policy connections manifests/
  eastwest policy connections manifests/ --json | jq '.[] | select(.dst == "shop/orders-postgresql[StatefulSet]")'
  eastwest policy connections manifests/ --dot | dot -Tsvg > permitted.svg
  eastwest policy connections manifests/ --mermaid >> README.md
  eastwest policy connections policies/ --cluster evidence/       policies alone, between the workloads of a recording

JSON rows are {"src", "dst", "protocol", "ports"}: workloads as ns/name[Kind], external ends as CIDRs, ports such as
"80,443-445"; all ports of TCP, UDP and SCTP together are one row with protocol "*". Ports are the pods' own.
"""
MANY: Final = 4


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("dir", metavar="DIR", help="manifests, searched recursively")
    add_cluster(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one array of rows")
    form.add_argument("--dot", action="store_true", help="a Graphviz graph")
    form.add_argument("--mermaid", action="store_true", help="a Mermaid flowchart")
    parser.add_argument("--include-self", action="store_true", help="also between pods of one workload")
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    try:
        state, problems = completed(args, *read(args.dir))
        engine = engine_of(args, state)
    except InputError as error:
        return fail(error)
    found = connections(engine, include_self=args.include_self)
    if args.json:
        _print_json(found)
    elif args.dot or args.mermaid:
        print((dot if args.dot else mermaid)(grouped(found)))
    else:
        rows = [[src, dst, ports] for src, dst, ports in grouped(found)]
        heads = [Head("FROM", style="cyan"), Head("TO", style="green"), Head("PORTS")]
        notes = (
            []
            if state.pods
            else [f"no workloads found in {args.cluster or args.dir}: give some, or a recording, with --cluster"]
        )
        show(View(f"{len(rows)} permitted connections", heads, rows, notes))
    return exit_code(False, problems)


def _print_json(found: Iterable[Connection]) -> None:
    """One row per line inside the array, written as it is found: large clusters never stand in memory."""
    first = True
    for connection in found:
        for row in connection.rows():
            sys.stdout.write(("[\n" if first else ",\n") + json.dumps(row, ensure_ascii=False))
            first = False
    sys.stdout.write("[]\n" if first else "\n]\n")


def grouped(found: Iterable[Connection]) -> Iterator[tuple[str, str, str]]:
    """(from, to, ports) for people: the external ranges of one workload that share their ports stand together."""
    ranges: dict[tuple[str, bool, str], list[str]] = {}
    for c in found:
        if isinstance(c.dst, str):
            ranges.setdefault((str(c.src), True, str(c.ports)), []).append(c.dst)
        elif isinstance(c.src, str):
            ranges.setdefault((str(c.dst), False, str(c.ports)), []).append(c.src)
        else:
            yield str(c.src), str(c.dst), str(c.ports)
    for (workload, outbound, ports), cidrs in ranges.items():
        outside = _together(cidrs)
        yield (workload, outside, ports) if outbound else (outside, workload, ports)


def _together(cidrs: list[str]) -> str:
    if set(cidrs) == {"0.0.0.0/0", "::/0"}:
        return "anywhere outside"
    if len(cidrs) <= MANY:
        return ", ".join(cidrs)
    return f"{', '.join(cidrs[:MANY])} and {len(cidrs) - MANY} more ranges"
