"""`eastwest policy generate`: least-privilege policies from a recording, as a folder for git."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from eastwest.cli.policy._evidence import add_evidence_arguments, recorded
from eastwest.cli.policy._input import FINDINGS, InputError, add_json, exit_code, fail, report
from eastwest.cli.policy.verify import read_intents
from eastwest.k8s.write import cluster_policy_body, document, kustomization, policy_files
from eastwest.k8s.write_cilium import NODES, WORLD, CiliumHint, cilium_policy_body
from eastwest.model.flow import Direction
from eastwest.policy.generate.cluster import cluster_policies
from eastwest.policy.generate.generator import Generated, GenerateOptions, generate
from eastwest.policy.generate.rules import GeneratedRule

EXAMPLES: Final = """examples:
  eastwest policy generate --evidence recording.zip -o policies/
  eastwest policy generate --window 1h -o policies/                 from the running server
  eastwest policy generate --evidence recording/ --namespace shop -o policies/ --accept-gaps
  kubectl apply -k policies/shop/

exit codes: 0 written, 1 refused because coverage is incomplete, 2 bad input
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    add_evidence_arguments(parser)
    parser.add_argument("-n", "--namespace", metavar="NS", help="only this namespace")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="where to write them")
    parser.add_argument("--accept-gaps", action="store_true", help="go on although coverage is incomplete")
    parser.add_argument("--max-cidrs", type=int, default=8, metavar="N", help="CIDRs per rule and family (default: 8)")
    parser.add_argument(
        "--format",
        choices=("networkpolicy", "cilium", "cluster"),
        default="networkpolicy",
        help="NetworkPolicy (default), CiliumNetworkPolicy with domain names, or ClusterNetworkPolicy in the Baseline tier",
    )
    parser.add_argument("--intent", metavar="FILE", type=Path, help="also permit what it says that workloads may reach")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.max_cidrs < 1:
        return fail(ValueError("--max-cidrs: at least 1"))
    try:
        declared = read_intents(args.intent) if args.intent else []
        evidence = recorded(args)
    except InputError as error:
        return fail(error)
    report(evidence.problems)
    spaces = sorted({n.name for n in evidence.cluster.namespaces} | {p.namespace for p in evidence.cluster.pods})
    if args.namespace is not None and args.namespace not in spaces:
        return fail(InputError(f"no namespace {args.namespace!r} in this evidence; there are {', '.join(spaces)}"))
    options = GenerateOptions(args.namespace, args.max_cidrs, args.accept_gaps)
    generated = generate(evidence.cluster, evidence.evidence, evidence.watched, options, declared)
    texts = {"networkpolicy": files, "cilium": cilium_files, "cluster": cluster_files}[args.format](generated)
    try:
        if not generated.refused:
            write(args.output, texts)  # before a word of it: the reader of a pipe may leave early
    except OSError as error:
        return fail(error)
    print(json.dumps(generated.report.to_json(), indent=2) if args.json else generated.report.text())
    if generated.refused:
        print("refused: coverage is incomplete; --accept-gaps generates all the same", file=sys.stderr)
        return FINDINGS
    if not args.json and texts:
        print(f"Written to {args.output}: {', '.join(sorted({name.split('/')[0] for name in texts}))}")
    return exit_code(False, evidence.problems)


def files(generated: Generated) -> dict[str, str]:
    """Path in the output folder to text; the same evidence gives the same bytes."""
    return policy_files(generated.policies)


def cilium_files(generated: Generated) -> dict[str, str]:
    """As `files`, with nodes, the world and domain names in Cilium's own words."""
    out = {}
    for namespace, policies in generated.policies.items():
        for policy in policies:
            rules = generated.report.rules.get(f"{namespace}/{policy.name}", ())
            sides = ([_hint(r) for r in rules if r.direction is d] for d in (Direction.INGRESS, Direction.EGRESS))
            out[f"{namespace}/{policy.name}.yaml"] = document(cilium_policy_body(policy, *sides))
        out[f"{namespace}/kustomization.yaml"] = kustomization(p.name for p in policies)
    return out


def _hint(rule: GeneratedRule) -> CiliumHint:
    fixed = {"nodes": NODES, "world": WORLD}
    return fixed.get(rule.kind, CiliumHint(domains=rule.domains))


def cluster_files(generated: Generated) -> dict[str, str]:
    """ClusterNetworkPolicies in a folder named cluster: they have no namespace."""
    policies = cluster_policies(generated)
    out = {f"cluster/{policy.name}.yaml": document(cluster_policy_body(policy)) for policy in policies}
    return {**out, "cluster/kustomization.yaml": kustomization(p.name for p in policies)} if out else {}


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write what changed; remove policies of these namespaces that are generated no more (and nothing else)."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for namespace in {name.split("/")[0] for name in texts}:
        for path in sorted((folder / namespace).glob("*.yaml")):
            if f"{namespace}/{path.name}" not in texts and "eastwest.dev/evidence" in path.read_text():
                path.unlink()
