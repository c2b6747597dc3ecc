"""`eastwest rollout`: namespaces and nodes from off to audit to enforce, step by step, watched and taken back by itself."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from eastwest.cli._client import ServerError, add_server_arguments, get, pointer, post, print_json
from eastwest.cli._parser import examples_of
from eastwest.cli._table import show
from eastwest.cli.rollout._text import progress, view

EXAMPLES: Final = """examples:
  eastwest rollout start -n shop --budget 10% --hold 5m       off, audit, enforce: a tenth of the nodes a step
  eastwest rollout start --all --to audit --budget 3 --wait   audit everywhere, three nodes a step; waits for the end
  eastwest rollout start -n shop --stages stages.yaml         named stages of nodes and namespaces
  eastwest rollout status                                     where it stands: per namespace and node; why it stopped
  eastwest rollout pause                                      stay at the step in force; nothing is taken back
  eastwest rollout resume                                     after a pause, or to try a stopped step again
  eastwest rollout abort                                      back to how it was before

A stages file: a list of {name, nodes, namespaces}; without nodes every node, without namespaces all of the rollout's.

exit codes: 0 as asked (with --wait: done), 1 a gate stopped it, 2 bad input or no server
"""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
POLL_S: Final = 0.5


def _seconds(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.replace(".", "", 1).isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number with s, m, h or d, such as 5m")
    return float(number) * _UNITS[unit]


def _ratio(text: str) -> float:
    number = text.removesuffix("%")
    try:
        value = float(number) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a share such as 2% or 0.02")
    return value


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    start = actions.add_parser("start", help="begin one")
    whom = start.add_mutually_exclusive_group(required=True)
    whom.add_argument("-n", "--namespace", action="append", metavar="NS", help="may be repeated")
    whom.add_argument("--all", action="store_true", help="every namespace but kube-system")
    start.add_argument("--to", choices=("audit", "enforce"), default="enforce", help="where to (default: enforce)")
    start.add_argument("--direction", choices=("ingress", "egress"), help="only this direction (default: both)")
    start.add_argument("--budget", default="10%", metavar="N|N%", help="nodes a step may take (default: 10%%)")
    start.add_argument("--stages", type=Path, metavar="FILE", help="named stages (YAML or JSON) instead of a budget")
    start.add_argument("--hold", type=_seconds, default=300.0, metavar="TIME", help="watch each step for (default: 5m)")
    gates = start.add_argument_group("gates")
    gates.add_argument("--lookback", type=_seconds, default=86400.0, metavar="TIME", help="a denied flow counts when it was established within (default: 24h)")  # fmt: skip
    gates.add_argument("--patience", type=_seconds, default=60.0, metavar="TIME", help="how late a node may be (default: 1m)")  # fmt: skip
    gates.add_argument("--coverage", type=_ratio, default=0.95, metavar="SHARE", help="of a node's bytes in records, at least (default: 95%%)")  # fmt: skip
    gates.add_argument("--retransmits", type=_ratio, default=0.02, metavar="SHARE", help="more than before, at most (default: 2%%)")  # fmt: skip
    gates.add_argument("--failures", type=_ratio, default=0.05, metavar="SHARE", help="of connections, more than before, at most (default: 5%%)")  # fmt: skip
    parts = [start]
    for name, text in (
        ("status", "where it stands"),
        ("pause", "stay at the step in force"),
        ("resume", "go on, or try a stopped step again"),
        ("abort", "back to how it was before"),
    ):
        parts.append(actions.add_parser(name, help=text))
    for part in parts:
        part.formatter_class = argparse.RawDescriptionHelpFormatter
        part.epilog = examples_of(EXAMPLES, part.prog)
        if part.prog.endswith(("start", "resume", "status")):
            part.add_argument("--wait", action="store_true", help="show progress until it is over, or a gate stops it")
        add_server_arguments(part)


def run(args: argparse.Namespace) -> int:
    try:
        if args.action == "status":
            found = get(args, "/api/v1/rollouts/current")["rollout"]
        elif args.action == "start":
            found = post(args, "/api/v1/rollouts", _request(args))
        else:
            found = post(args, f"/api/v1/rollouts/current/{args.action}")
        if found is None:
            raise ServerError("there was no rollout yet; start one with `eastwest rollout start`")
        if getattr(args, "wait", False):
            found = wait(lambda: get(args, "/api/v1/rollouts/current")["rollout"], found, quiet=args.json)
    except ServerError as problem:
        print(pointer(problem, None), file=sys.stderr)
        return 2
    if args.json:
        print_json(found)
    else:
        show(view(found))
    return 1 if found["status"] == "stopped" and args.action != "abort" else 0


def wait(fetch: Callable[[], Any], found: Any, *, quiet: bool = False) -> Any:
    """Print each event as it happens; the rollout once it is done, aborted, paused or stopped."""
    shown = 0
    while True:
        if not quiet:
            for event in found["events"][shown:]:
                print(progress(event), flush=True)
        shown = len(found["events"])
        if found["status"] != "running":
            return found
        time.sleep(POLL_S)
        found = fetch()


def _request(args: argparse.Namespace) -> dict[str, Any]:
    stages = {} if args.stages is None else {"stages": _stages(args.stages)}
    return {
        "namespaces": args.namespace or [n for n in get(args, "/api/v1/inventory")["namespaces"] if n != "kube-system"],
        "to": args.to,
        "direction": args.direction,
        "budget": args.budget,
        "hold_s": args.hold,
        "lookback_s": args.lookback,
        "patience_s": args.patience,
        "limits": {
            "coverage_ratio": args.coverage,
            "retransmit_ratio": args.retransmits,
            "failure_ratio": args.failures,
        },
        **stages,
    }


def _stages(path: Path) -> Any:
    """The list in a file; the server checks what is in it. Raises ServerError."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ServerError(f"cannot read the stages in {path}: {error}") from None
    if isinstance(found, dict):
        found = found.get("stages")
    if not isinstance(found, list) or not found:
        raise ServerError(f"{path}: expected a list of stages, each with a name, nodes and namespaces")
    return found
