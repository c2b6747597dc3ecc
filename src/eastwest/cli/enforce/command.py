"""`eastwest enforce`: which policies are in force, where and how; set modes and postures; a node's plan in words."""

from __future__ import annotations

import argparse
import sys
import urllib.parse
from typing import Any, Final

from eastwest.cli._client import ServerError, add_server_arguments, get, print_json, put
from eastwest.cli._parser import examples_of
from eastwest.cli._table import show
from eastwest.cli.enforce import _text as text

STATUS: Final = "/api/v1/enforcement"
EXAMPLES: Final = """examples:
  eastwest enforce status                                  per node, namespace and policy, and what waits for whom
  eastwest enforce set shop audit                          evaluate and count, let everything pass
  eastwest enforce set shop enforce --direction ingress    drop what policies deny, ingress only
  eastwest enforce set shop enforce --node node-a          on one node only; --node may be repeated
  eastwest enforce posture deny                            what no policy decides is denied, in the whole cluster
  eastwest enforce posture namespace kube-system allow     but not in this namespace
  eastwest enforce posture nodes pool=blue deny            or only on these nodes (names or labels)
  eastwest enforce plan --node node-a                      what the node decides, pod by pod, by which rule
  eastwest enforce plan --node node-a --diff               and what changes against what is in force there

Modes begin as off: nothing is denied before you set one. `*` is every namespace that has no mode of its own.
exit codes: 0 done (status: everything asked for is in force), 1 status: something waits or was refused, 2 not possible
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    status = actions.add_parser("status", help="what is in force, and what waits")
    status.add_argument(
        "--by", choices=("node", "namespace", "policy", "pod"), help="one table only (default: all but pod)"
    )
    change = actions.add_parser("set", help="off, audit or enforce for a namespace")
    change.add_argument(
        "namespace", metavar="NAMESPACE", help="a namespace, or * for those without a mode of their own"
    )
    change.add_argument("mode", choices=("off", "audit", "enforce"))
    change.add_argument("--direction", choices=("ingress", "egress"), help="default: both")
    change.add_argument("--node", action="append", metavar="NODE", help="on this node only; may be repeated")
    posture = actions.add_parser("posture", help="allow or deny what no policy decides")
    posture.add_argument(
        "words",
        nargs="+",
        metavar="[cluster | namespace NAME | nodes GROUP] allow|deny|inherit",
        help="GROUP: names (node-a,node-b) or labels (pool=blue); inherit takes the entry away",
    )
    plan = actions.add_parser("plan", help="what one node decides, in words")
    plan.add_argument("--node", required=True, metavar="NODE", help="as `eastwest enforce status --by node` names it")
    plan.add_argument("--diff", action="store_true", help="only what differs from what is in force there")
    plan.add_argument("--pod", metavar="NS/NAME", help="only this pod")
    for action in (status, change, posture, plan):
        action.formatter_class = argparse.RawDescriptionHelpFormatter
        action.epilog = examples_of(EXAMPLES, action.prog)
        add_server_arguments(action)


def run(args: argparse.Namespace) -> int:
    try:
        return {"status": _status, "set": _set, "posture": _posture, "plan": _plan}[args.action](args)
    except ServerError as problem:
        print(f"eastwest enforce: {problem}", file=sys.stderr)
        return 2


def _status(args: argparse.Namespace) -> int:
    found = get(args, STATUS)
    if args.json:
        print_json(found)
    else:
        for view in text.status(found, args.by):
            show(view)
    return 1 if found["trouble"] or any(n["reason"] or n["missing"] for n in found["nodes"] if n["sides"]) else 0


def _set(args: argparse.Namespace) -> int:
    body = {"mode": args.mode, "direction": args.direction, "nodes": args.node}
    found = put(args, f"{STATUS}/namespaces/{urllib.parse.quote(args.namespace, safe='')}", body)
    if args.json:
        print_json(found)
    else:
        show(text.modes(found))
    return 0


def _posture(args: argparse.Namespace) -> int:
    *scope, word = args.words
    if word not in ("allow", "deny", "inherit"):
        return _wrong(f"{word!r}: expected allow, deny or inherit at the end")
    match scope:
        case [] | ["cluster"]:
            kind, name = "cluster", None
        case ["namespace" | "nodes" as kind, name]:
            pass
        case _:
            return _wrong(f"{' '.join(scope)!r}: expected cluster, namespace NAME or nodes GROUP")
    posture = None if word == "inherit" else word
    found = put(args, f"{STATUS}/posture", {"scope": kind, "name": name, "posture": posture})
    if args.json:
        print_json(found)
    else:
        show(text.postures(found))
    return 0


def _wrong(message: str) -> int:
    print(f"eastwest enforce posture: {message}", file=sys.stderr)
    return 2


def _plan(args: argparse.Namespace) -> int:
    found: dict[str, Any] = get(args, f"{STATUS}/plan", {"node": args.node})
    if args.pod is not None:
        found = _only(found, args.pod)
        if not found["sides"]:
            return _wrong_pod(args)
    if args.json:
        print_json(found["difference"] if args.diff else found)
    else:
        for line in text.difference(found) if args.diff else text.plan(found):
            print(line)
    return 0


def _only(plan: dict[str, Any], pod: str) -> dict[str, Any]:
    head = f"{pod} "
    difference = plan["difference"]
    return plan | {
        "sides": [s for s in plan["sides"] if f"{s['namespace']}/{s['name']}" == pod],
        "difference": difference
        | {word: [line for line in difference[word] if line.startswith(head)] for word in ("gone", "come")},
    }


def _wrong_pod(args: argparse.Namespace) -> int:
    print(f"eastwest enforce plan: no pod {args.pod!r} in the plan of {args.node}", file=sys.stderr)
    return 2
