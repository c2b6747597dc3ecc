"""`eastwest policy lint`: what is invalid, ineffective or forgotten, each with file, line and a fix."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from eastwest.cli.policy._cluster import add_cluster, completed
from eastwest.cli.policy._input import (
    InputError,
    add_json,
    add_options,
    domains_of,
    exit_code,
    fail,
    options_of,
)
from eastwest.k8s.manifests import Problem, RawObject, load_raw, parse
from eastwest.policy import Engine
from eastwest.policy.lint.checks import Finding, lint

EXAMPLES: Final = """examples:
  eastwest policy lint manifests/
  eastwest policy lint policies/ --cluster evidence/       policies alone: against the workloads of a recording
  eastwest policy lint manifests/ --json | jq -r '.[] | "\\(.file):\\(.line) \\(.message)"'

codes: invalid, warning (as the API server sees the objects) · selects-nothing, peer-matches-nothing,
rule-matches-nothing, host-network-peer, service-address, pod-address, domain-undecided · named-port-unknown,
service-port, dns-without-tcp, dns-blocked · no-policy · shadowed-rule, priority-tie

exit codes: 0 nothing found, 1 findings, 2 objects that are invalid (the rest is linted all the same)
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("dir", metavar="DIR", help="manifests, searched recursively")
    parser.add_argument("--ignore", metavar="CODE", action="append", default=[], help="leave out a code (repeatable)")
    add_cluster(parser)
    add_json(parser)
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    try:
        if not Path(args.dir).exists():
            raise InputError(f"{args.dir}: no such file or folder")
        raws, problems = load_raw(args.dir)
        state, more = parse(raws)
        state, problems = completed(args, state, problems + more)
        engine = Engine(state, options_of(args), domains_of(args))
    except InputError as error:
        return fail(error)
    found = [*_from_problems(problems), *_with_lines(lint(engine), raws)]
    found = [f for f in found if f.code not in args.ignore]
    if args.json:
        print(json.dumps([f.to_json() for f in found], indent=2, ensure_ascii=False))
    else:
        for f in found:
            where = f"{f.file}:{f.line}" if f.file else "-"
            what = f"{f.object}: " if f.object else ""
            print(f"{where}: {f.code}: {what}{f.message}\n    fix: {f.fix}")
        files = len({f.file for f in found})
        print(f"{_counted(len(found), 'finding')} in {_counted(files, 'file')}" if found else "nothing found")
    return exit_code(bool(found), problems)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _from_problems(problems: Iterable[Problem]) -> list[Finding]:
    out = []
    for p in problems:
        if p.severity == "error" and not p.object:
            fix = "correct the file, or leave it out of the folder: nothing in it was read"
        elif p.severity == "error":
            fix = "correct it: the API server refuses the object as it is"
        elif p.severity == "warning":
            fix = "correct it, or delete what is not meant"
        else:
            continue
        message = f"{p.field}: {p.message}" if p.field else p.message
        code = "invalid" if p.severity == "error" else "warning"
        out.append(Finding(code, message, fix, p.object, p.file, p.line))
    return out


def _with_lines(found: Iterable[Finding], raws: Iterable[RawObject]) -> list[Finding]:
    """The line of the exact field in place of the object's."""
    at = {(raw.file, raw.line): raw for raw in raws}
    return [
        replace(f, line=at[key].line_of(f.path)) if f.path and (key := (f.file or "", f.line)) in at else f
        for f in found
    ]
