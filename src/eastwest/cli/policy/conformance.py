"""`eastwest policy conformance`: semantic test cases through the engine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from eastwest.cli.policy._input import FINDINGS, UNUSABLE, InputError, add_json, add_options, fail, options_of
from eastwest.k8s.manifests import RawObject, parse
from eastwest.model.cluster import ClusterState
from eastwest.policy.conformance.case import Case, CaseError, parse_case
from eastwest.policy.conformance.run import Row, run_case

EXAMPLES: Final = """examples:
  eastwest policy conformance tests/golden/policy/cases
  eastwest policy conformance my-case.yaml --json | jq '.[] | select(.expected != .engine)'

A case (see tests/golden/policy/README.md):
  name: deny-all-then-allow
  steps:
    - apply:
        - {kind: NetworkPolicy, metadata: {name: deny-all, namespace: x}, spec: {podSelector: {}}}
      expect:
        default: allow
        cells: [{from: y/a, to: x/a, allowed: false}, …]

exit codes: 0 all cells as expected, 1 some are not, 2 a case that cannot be run
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("paths", metavar="PATH", nargs="+", help="case files, or folders searched recursively")
    add_json(parser)
    add_options(parser)


def load_cases(paths: Sequence[str]) -> Iterator[Case]:
    """Every case in files and folders; a file may hold several documents. Raises CaseError and InputError."""
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in (".yaml", ".yml"))
        for file in files:
            try:
                documents = list(yaml.safe_load_all(file.read_text()))
            except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
                raise InputError(f"{file}: {error}") from None
            for document in documents:
                if document is not None:
                    yield parse_case(document, str(file))


def parse_objects(objects: list[dict[str, Any]]) -> ClusterState:
    """Typed objects. Raises ValueError when the API server would refuse one."""
    state, problems = parse(RawObject(body, "case") for body in objects)
    errors = [p for p in problems if p.severity == "error"]
    if errors:
        raise ValueError("; ".join(f"{p.object}: {p.field}: {p.message}" for p in errors))
    return state


def run(args: argparse.Namespace) -> int:
    rows, broken, cases = list[Row](), 0, 0
    try:
        options = options_of(args)
        for case in load_cases(args.paths):
            cases += 1
            try:
                rows += run_case(case, parse_objects, options)
            except CaseError as error:
                broken += 1
                print(f"error: {error}", file=sys.stderr)
    except (CaseError, InputError) as error:
        return fail(error)
    failed = [r for r in rows if not r.passed]
    if args.json:
        print(json.dumps([row.to_json() for row in rows]))
    else:
        _print(failed, len(rows), cases, broken)
    return UNUSABLE if broken else FINDINGS if failed else 0


def _print(failed: list[Row], cells: int, cases: int, broken: int) -> None:
    for row in failed:
        q = row.question
        said = "allows" if row.engine else "denies"
        print(
            f"FAILED {row.case} step {row.step}: {q.src} → {q.dst} {q.protocol} {q.port} over IPv{q.family}: "
            f"expected {'allow' if row.expected else 'deny'}, the engine {said}: {row.reason}"
        )
    wrong = len({row.case for row in failed})
    unusable = f", {broken} could not be run" if broken else ""
    print(f"{cases} cases, {cells} cells: {cases - wrong - broken} cases pass, {wrong} fail{unusable}")
