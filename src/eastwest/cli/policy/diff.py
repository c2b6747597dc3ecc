"""`eastwest policy diff`: which connections a change of policies adds and removes."""

from __future__ import annotations

import argparse
import json
from typing import Final

from eastwest.cli.policy._cluster import add_cluster, cluster_of
from eastwest.cli.policy._input import (
    InputError,
    add_json,
    add_options,
    domains_of,
    engine_of,
    exit_code,
    fail,
    options_of,
    read,
)
from eastwest.policy.diff import compare, with_workloads_of

EXAMPLES: Final = """examples:
  eastwest policy diff main/ branch/                       two checkouts
  eastwest policy diff live.yaml generated/                the cluster as it is, against new policies only
  eastwest policy diff old/ new/ --cluster evidence/       policies alone, against the workloads of a recording
  eastwest policy diff old/ new/ --json | jq '.[] | select(.change == "added")'

A side without workloads (policies only) is completed with the workloads of the other side, or of --cluster.

exit codes: 0 both permit the same, 1 they differ, 2 bad input
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("old", metavar="OLD", help="manifests, searched recursively")
    parser.add_argument("new", metavar="NEW", help="manifests, searched recursively")
    add_cluster(parser, "for sides that have none")
    add_json(parser)
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    try:
        (old, problems), (new, more) = read(args.old), read(args.new)
        problems = problems + more
        if args.cluster:
            cluster, more = cluster_of(args.cluster)
            old, new, problems = with_workloads_of(old, cluster), with_workloads_of(new, cluster), problems + more
        old, new = with_workloads_of(old, new), with_workloads_of(new, old)
        if not old.pods:
            raise InputError(
                f"no workloads in {args.old} or {args.new}: give some with --cluster DIR, or a recording with --cluster BUNDLE"
            )
        engine_of(args, new)
        found = list(compare(old, new, options_of(args), domains_of(args)))
    except InputError as error:
        return fail(error)
    if args.json:
        print(json.dumps([row for d in found for row in d.rows()], indent=2, ensure_ascii=False))
    else:
        short = len({p.workload.namespace for state in (old, new) for p in state.pods}) == 1
        for difference in found:
            print(difference.sentence(short=short))
        if not found:
            print("no difference: both permit the same connections")
    return exit_code(bool(found), problems)
