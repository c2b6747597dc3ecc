"""`eastwest policy replay`: a recording against policies, before they are enforced."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from eastwest.cli.policy._evidence import add_evidence_arguments, recorded
from eastwest.cli.policy._input import InputError, add_json, add_options, engine_of, exit_code, fail, read, report
from eastwest.k8s.write import policy_text
from eastwest.policy.replay.replay import Denied, Replay, replay

EXAMPLES: Final = """examples:
  eastwest policy replay --policies policies/ --evidence recording.zip
  eastwest policy replay --policies policies/ --window 1h              against the running server's last hour
  eastwest policy replay --policies policies/ --evidence recording/ --json

exit codes: 0 nothing legitimate would be denied, 1 something would, 2 bad input
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("--policies", metavar="DIR", required=True, help="the policies, searched recursively")
    add_evidence_arguments(parser)
    add_json(parser)
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    try:
        policies, problems = read(args.policies)
        evidence = recorded(args)
        cluster = replace(
            evidence.cluster,
            network_policies=policies.network_policies,
            cluster_network_policies=policies.cluster_network_policies,
        )
        engine = engine_of(args, cluster)
    except InputError as error:
        return fail(error)
    report(evidence.problems)
    result = replay(engine, evidence.evidence)
    print(json.dumps(to_json(result), indent=2) if args.json else text(result, Path(args.policies)))
    return exit_code(bool(result.denied), [*problems, *evidence.problems])


def to_json(result: Replay) -> dict[str, Any]:
    return {
        "flows": result.flows,
        "distinct": result.connections,
        "allowed": result.allowed,
        "denied": [_denied(d) for d in result.denied],
        "attempts": [{k: v for k, v in _denied(d).items() if k != "missing_rule"} for d in result.attempts],
        "unused": [
            {"policy": u.policy, "direction": str(u.direction), "rule": u.rule, "port": u.port, "reason": u.reason}
            for u in result.unused
        ],
        "skipped": dict(result.skipped),
    }


def _denied(d: Denied) -> dict[str, Any]:
    return {
        "src": d.src,
        "dst": d.dst,
        "protocol": d.protocol,
        "dst_port": d.port,
        "connections": d.connections,
        "reason": d.reason,
        "missing_rule": missing_rule(d),
    }


def missing_rule(d: Denied) -> str:
    """Policies that add what is missing, ready to paste; "" where no NetworkPolicy can say it."""
    return "---\n".join(map(policy_text, d.missing_policies()))


def text(result: Replay, folder: Path) -> str:
    lines = [
        f"{result.flows} flow records, {result.connections} distinct connections, against {folder}:",
        f"{len(result.denied)} would be denied, {len(result.attempts)} unanswered attempts would be denied,"
        f" {len(result.unused)} permissions were not used.",
    ]
    lines += [f"not judged: {count} ({reason})" for reason, count in result.skipped.items()]
    for d in result.denied:
        lines += ["", f"DENIED {d.src} -> {d.dst} {d.protocol} {d.port} ({d.connections} connections)", f"  {d.reason}"]
        lines += [f"  {line}" for line in (["missing:", *missing_rule(d).splitlines()] if d.missing else [])]
    for d in result.attempts:
        lines += ["", f"attempt {d.src} -> {d.dst} {d.protocol} {d.port} ({d.connections}, never answered): {d.reason}"]
    if result.unused:
        lines += ["", "not used:"]
    for u in result.unused:
        lines.append(f"  {u.policy} {u.direction} rule {u.rule}{f' {u.port}' if u.port else ''}: {u.reason}")
    return "\n".join(lines)
