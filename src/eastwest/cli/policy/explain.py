"""`eastwest policy explain`: the rules in force for a pod, or what decides each port of a pair."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from eastwest.cli.policy._cluster import add_cluster, completed
from eastwest.cli.policy._input import InputError, add_json, add_options, engine_of, exit_code, fail, read
from eastwest.cli.policy.check import parse_target, verdicts
from eastwest.model.flow import Direction
from eastwest.policy import Engine
from eastwest.policy.explain import PairSegment, RuleInForce, SideInForce, explain_pair, rules_in_force
from eastwest.policy.targets import Target, UnknownTargetError, resolve

EXAMPLES: Final = """examples:
  eastwest policy explain shop/orders manifests/                          what may reach it, what it may reach, by whom
  eastwest policy explain shop/ui shop/orders manifests/                  every port of the pair and what decides it
  eastwest policy explain shop/ui svc:shop/orders:80/TCP manifests/       one port, through a Service
  eastwest policy explain shop/orders policies/ --cluster evidence/       policies alone, a workload of a recording

exit codes: 0 explained, 2 bad input
"""
SHOWN: Final = 6


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("source", metavar="SOURCE", help="ns/pod, ns/workload, node:name or an IP address")
    parser.add_argument("target", metavar="TARGET[:PORT/PROTO]", nargs="?", help="explain this pair only")
    parser.add_argument("dir", metavar="DIR", help="manifests, searched recursively")
    add_cluster(parser)
    add_json(parser)
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    try:
        state, problems = completed(args, *read(args.dir))
        if not state.pods:
            raise InputError(f"no workloads in {args.cluster or args.dir}: give some, or a recording, with --cluster")
        engine = engine_of(args, state)
        sources = resolve(engine, args.source, literal=True)
        answer = _pod(engine, sources, args) if args.target is None else _pair(engine, sources, args)
    except (InputError, UnknownTargetError) as error:
        return fail(error)
    if args.json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    return exit_code(False, problems)


def _pod(engine: Engine, sources: list[Target], args: argparse.Namespace) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for source in sources:
        if source.end.pod is None:
            raise InputError(f"{source.label} is no pod: no policy selects it; give a target to explain a pair")
        sides = [rules_in_force(engine, source.end.pod, d) for d in Direction]
        out.append({"pod": source.label} | {str(s.direction): s.to_json() for s in sides})
        if not args.json:
            print(source.label)
            for side in sides:
                _print_side(side)
    return out


def _print_side(side: SideInForce) -> None:
    isolated = f"isolated by {', '.join(side.isolated_by)}" if side.isolated_by else "not isolated by a NetworkPolicy"
    print(f"  {side.direction}: {isolated}")
    for rule in side.rules:
        print(f"    {_rule_text(rule)}")
    print(f"    otherwise {side.rest}")


def _rule_text(one: RuleInForce) -> str:
    rule = one.rule
    where = f" ({rule.file}:{rule.line})" if rule.file else ""
    kind = "" if rule.action == "Accept" and rule.tier == "NetworkPolicy" else f"{rule.tier} {rule.action} "
    word = "from" if rule.direction is Direction.INGRESS else "to"
    more = f" and {len(one.workloads) - SHOWN} more" if len(one.workloads) > SHOWN else ""
    now = f" [now {', '.join(one.workloads[:SHOWN])}{more}]" if one.workloads else ""
    return f"{kind}{rule.policy} rule {rule.index}: {word} {one.peers}: {one.ports}{now}{where}"


def _pair(engine: Engine, sources: list[Target], args: argparse.Namespace) -> list[dict[str, Any]]:
    if ":" in args.target.removeprefix("svc:").removeprefix("node:") and "/" in args.target.rpartition(":")[2]:
        return _one_port(engine, sources, args)
    out: list[dict[str, Any]] = []
    for src in sources:
        for dst in resolve(engine, args.target):
            for family in engine.ends.families(src.end, dst.end):
                segments = explain_pair(engine, src.end, dst.end, family)
                if not args.json:
                    print(f"{src.label} → {dst.label} over IPv{family}")
                    for segment in segments:
                        _print_segment(segment)
                rows = [_segment_json(s) for s in segments]
                out.append({"src": src.label, "dst": dst.label, "family": family, "segments": rows})
    return out


def _one_port(engine: Engine, sources: list[Target], args: argparse.Namespace) -> list[dict[str, Any]]:
    word, protocol, port = parse_target(args.target)
    out = []
    for src, dst, families, verdict in verdicts(engine, sources, resolve(engine, word, port, protocol), protocol):
        ports = f"{protocol} {dst.port}"
        if not args.json:
            print(f"{src.label} → {dst.label} {ports}: {'allowed' if verdict.allowed else 'DENIED'}")
            print(f"  {verdict.egress.text()}\n  {verdict.ingress.text()}")
        sides = {"egress": verdict.egress.to_json(), "ingress": verdict.ingress.to_json()}
        ends = {"src": src.label, "dst": dst.label, "via": dst.via, "families": list(families)}
        out.append({**ends, "ports": ports, "allowed": verdict.allowed, **sides})
    return out


def _print_segment(segment: PairSegment) -> None:
    print(f"  {'allowed' if segment.allowed else 'DENIED '} {segment.ports}")
    print(f"    {segment.egress.text()}\n    {segment.ingress.text()}")


def _segment_json(segment: PairSegment) -> dict[str, Any]:
    return {
        "ports": str(segment.ports),
        "allowed": segment.allowed,
        "egress": segment.egress.to_json(),
        "ingress": segment.ingress.to_json(),
    }
