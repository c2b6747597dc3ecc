"""`eastwest policy check`: may one end connect to another, and which rule says so on each side."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from eastwest.cli.policy._cluster import add_cluster, completed
from eastwest.cli.policy._input import (
    InputError,
    add_json,
    add_options,
    engine_of,
    exit_code,
    fail,
    read,
)
from eastwest.model.flow import protocol_name, protocol_number
from eastwest.policy import Engine, Verdict
from eastwest.policy.targets import Target, UnknownTargetError, resolve

EXAMPLES: Final = """examples:
  eastwest policy check shop/ui-0 shop/orders-0:8080/TCP manifests/      pod to pod
  eastwest policy check shop/ui svc:shop/orders:80 manifests/            through a Service: every backend, at its port
  eastwest policy check shop/orders 52.94.0.7:443/TCP manifests/         to the outside
  eastwest policy check 203.0.113.9 shop/ui:8080/TCP manifests/          from the outside
  eastwest policy check shop/ui shop/orders:8080/TCP policies/ --cluster evidence/   policies alone, workloads recorded
  eastwest policy check node:n1 shop/ui:0/ICMP manifests/ --json         from a node; protocols without ports: port 0

exit codes: 0 allowed, 1 denied (any of several), 2 bad input
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("source", metavar="SOURCE", help="ns/pod, ns/workload, node:name or an IP address")
    parser.add_argument(
        "target", metavar="TARGET:PORT/PROTO", help="ns/pod, ns/workload, svc:ns/name, node:name or an IP address"
    )
    parser.add_argument("dir", metavar="DIR", help="manifests, searched recursively")
    add_cluster(parser)
    add_json(parser)
    add_options(parser)


def parse_target(text: str) -> tuple[str, str, int]:
    """`TARGET:PORT[/PROTO]` as (target, protocol, port or its name's text). Raises InputError."""
    target, colon, rest = text.rpartition(":")
    port, _, protocol = rest.partition("/")
    if not port.isdecimal():
        raise InputError(f"{text!r}: expected TARGET:PORT/PROTO, for example shop/orders:8080/TCP")
    try:
        number, name = int(port), protocol_name(protocol_number(protocol or "TCP"))
    except ValueError as error:
        raise InputError(f"{text!r}: expected TARGET:PORT/PROTO, for example shop/orders:8080/TCP ({error})") from None
    with_ports = name in ("TCP", "UDP", "SCTP")
    if not colon or not target or not (1 if with_ports else 0) <= number <= 65535:
        raise InputError(f"{text!r}: expected TARGET:PORT/PROTO with a port from 1 to 65535")
    return target.strip("[]"), name, number


def verdicts(
    engine: Engine, sources: list[Target], targets: list[Target], protocol: str
) -> list[tuple[Target, Target, tuple[int, ...], Verdict]]:
    """Each pair with the IP families that share one verdict."""
    number, out = protocol_number(protocol), []
    for src in sources:
        for dst in targets:
            by_verdict: dict[Verdict, list[int]] = {}
            for family in engine.ends.families(src.end, dst.end):
                verdict = engine.decide(src.end, dst.end, number, dst.port, family)
                by_verdict.setdefault(verdict, []).append(family)
            out += [(src, dst, tuple(families), verdict) for verdict, families in by_verdict.items()]
    return out


def run(args: argparse.Namespace) -> int:
    try:
        word, protocol, port = parse_target(args.target)
        state, problems = completed(args, *read(args.dir))
        if not state.pods:
            raise InputError(f"no workloads in {args.cluster or args.dir}: give some, or a recording, with --cluster")
        engine = engine_of(args, state)
        sources = resolve(engine, args.source, literal=True)
        targets = resolve(engine, word, port, protocol)
    except (InputError, UnknownTargetError) as error:
        return fail(error)
    found = verdicts(engine, sources, targets, protocol)
    allowed = all(v.allowed for *_, v in found)
    if args.json:
        results = [_row(*one, protocol) for one in found]
        print(json.dumps({"allowed": allowed, "results": results}, indent=2))
    else:
        for one in found:
            _print(*one, protocol, split=sum(other[:2] == one[:2] for other in found) > 1)
    return exit_code(not allowed, problems)


def _row(src: Target, dst: Target, families: tuple[int, ...], verdict: Verdict, protocol: str) -> dict[str, Any]:
    return {
        "src": src.label,
        "dst": dst.label,
        "via": dst.via,
        "protocol": protocol,
        "port": dst.port,
        "families": list(families),
        "allowed": verdict.allowed,
        "egress": verdict.egress.to_json(),
        "ingress": verdict.ingress.to_json(),
        "reason": verdict.reason,
    }


def _print(
    src: Target, dst: Target, families: tuple[int, ...], verdict: Verdict, protocol: str, *, split: bool
) -> None:
    """Three lines for people; the IP family only where the families differ."""
    via = f" (through {dst.via})" if dst.via else ""
    family = f" over IPv{families[0]}" if split else ""
    word = "allowed" if verdict.allowed else "DENIED"
    print(f"{word}: {src.label} → {dst.label} {protocol} {dst.port}{family}{via}")
    print(f"  {verdict.egress.text()}\n  {verdict.ingress.text()}")
