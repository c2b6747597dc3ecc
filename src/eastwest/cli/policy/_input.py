"""What the policy commands share: folders of manifests, the engine's options, problems of the input, exit codes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from eastwest.k8s.manifests import Problem, load
from eastwest.model.cluster import ClusterState
from eastwest.model.plan import Posture
from eastwest.policy import Engine, Options
from eastwest.policy.addresses import parse_address
from eastwest.policy.posture import ALLOW_ALL, Postures

CLEAN: Final = 0
FINDINGS: Final = 1
UNUSABLE: Final = 2


class InputError(Exception):
    """Input that cannot be used at all; the message names it."""


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The choices that the NetworkPolicy specification leaves open."""
    group = parser.add_argument_group("what the specification leaves open")
    group.add_argument(
        "--ip-block-matches-pods",
        choices=("yes", "no"),
        default="yes",
        help="whether an ipBlock matches pod addresses too (default: yes, as upstream's e2e tests have it)",
    )
    group.add_argument(
        "--host-network",
        choices=("exempt", "ordinary"),
        default="exempt",
        help="host-network pods are their node (default: exempt), or selected like other pods (ordinary)",
    )
    group.add_argument(
        "--self-traffic",
        choices=("allow", "ordinary"),
        default="allow",
        help="a pod always reaches itself (default: allow), or by rules (ordinary)",
    )
    group.add_argument(
        "--icmp",
        choices=("portless", "allow"),
        default="portless",
        help="ICMP passes by rules without ports (default: portless), or always (allow)",
    )
    group.add_argument(
        "--posture",
        action="append",
        default=[],
        metavar="[SCOPE=]allow|deny",
        help="what holds where no policy decides (default: allow); SCOPE is cluster, namespace:NAME or nodes:GROUP, where "
        "GROUP is names (node-a,node-b) or labels (pool=blue); may be repeated",
    )
    group.add_argument(
        "--domains",
        metavar="FILE",
        help='JSON file {"name": ["address", …]}: decides domainNames rules, which accept nothing without it',
    )


def options_of(args: argparse.Namespace) -> Options:
    """The engine's options as chosen. Raises InputError."""
    return Options(
        ip_block_matches_pods=args.ip_block_matches_pods == "yes",
        host_network=args.host_network,
        self_traffic=args.self_traffic,
        icmp=args.icmp,
        posture=postures_of(args.posture),
    )


def postures_of(words: Iterable[str]) -> Postures:
    """Several `[SCOPE=]allow|deny` as one value; a later word overrides an earlier one. Raises InputError."""
    out = ALLOW_ALL
    for word in words:
        scope, _, value = word.rpartition("=")
        kind, _, name = (scope or "cluster").partition(":")
        try:
            posture = Posture(value)
            if (kind, name) == ("cluster", ""):
                out = out.with_cluster(posture)
            elif kind == "namespace" and name:
                out = out.with_namespace(name, posture)
            elif kind == "nodes" and name:
                out = out.with_nodes(name, posture)
            else:
                raise ValueError(f"no scope {scope!r}")
        except ValueError as error:
            expected = "expected deny, namespace:shop=deny or nodes:pool=blue=deny"
            raise InputError(f"--posture {word}: {expected} ({error})") from None
    return out


def domains_of(args: argparse.Namespace) -> dict[str, tuple[str, ...]] | None:
    """The name to address map of --domains. Raises InputError."""
    if not args.domains:
        return None
    try:
        raw: Any = json.loads(Path(args.domains).read_text())
        found = {str(name).lower().rstrip("."): tuple(map(str, ips)) for name, ips in raw.items()}
        for ips in found.values():
            for text in ips:
                parse_address(text)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{args.domains}: {error}") from None
    return found


def read(path: str) -> tuple[ClusterState, list[Problem]]:
    """The cluster in a folder of manifests; its problems are printed to stderr and returned. Raises InputError."""
    if not Path(path).exists():
        raise InputError(f"{path}: no such file or folder")
    state, problems = load(path)
    report(problems)
    return state, problems


def report(problems: Iterable[Problem]) -> None:
    """Errors and warnings to stderr; notes (assumed namespaces and the like) are left to `policy lint`."""
    for problem in problems:
        if problem.severity != "note":
            print(f"{problem.severity}: {problem}", file=sys.stderr)


def engine_of(args: argparse.Namespace, state: ClusterState) -> Engine:
    """The engine with the chosen options; domain rules that cannot be decided are named on stderr."""
    engine = Engine(state, options_of(args), domains_of(args))
    for rule in engine.undecided_domains():
        where = f"{rule.file}:{rule.line}: " if rule.file else ""
        print(
            f"warning: {where}ClusterNetworkPolicy {rule.ref}: domain names cannot be decided from addresses; "
            "the rule accepts nothing (give addresses with --domains FILE)",
            file=sys.stderr,
        )
    return engine


def exit_code(findings: bool, problems: Iterable[Problem] = ()) -> int:
    """2 when part of the input was unusable, else 1 for findings, else 0."""
    if any(p.severity == "error" for p in problems):
        return UNUSABLE
    return FINDINGS if findings else CLEAN


def fail(error: Exception) -> int:
    """Say why nothing could be done."""
    print(f"error: {error}", file=sys.stderr)
    return UNUSABLE
