"""`--cluster`: the workloads that a folder of policies alone is judged against, from manifests or from a recording."""

from __future__ import annotations

import argparse
from pathlib import Path

from eastwest.cli.policy._evidence import from_bundle
from eastwest.cli.policy._input import InputError, read, report
from eastwest.k8s.manifests import Problem
from eastwest.model.cluster import ClusterState
from eastwest.policy.diff import with_workloads_of
from eastwest.policy.evidence_columns import COLUMNS
from eastwest.wire import bundle


def add_cluster(parser: argparse.ArgumentParser, whom: str = "where DIR has policies only") -> None:
    """The option --cluster."""
    parser.add_argument(
        "--cluster",
        metavar="DIR|BUNDLE",
        help=f"workloads, namespaces, nodes and Services {whom}: manifests, or an evidence bundle",
    )


def cluster_of(path: str) -> tuple[ClusterState, list[Problem]]:
    """The cluster of a folder of manifests, or of a bundle's time; problems are printed. Raises InputError."""
    given = Path(path)
    if (given.is_dir() and not (given / "bundle.json").exists()) or given.suffix in (".yaml", ".yml", ".json"):
        return read(path)
    try:
        found = from_bundle(bundle.read(given, COLUMNS))
    except (bundle.BundleError, OSError) as error:
        raise InputError(str(error)) from None
    report(found.problems)
    return found.cluster, list(found.problems)


def completed(
    args: argparse.Namespace, state: ClusterState, problems: list[Problem]
) -> tuple[ClusterState, list[Problem]]:
    """`state` with the workloads of --cluster where it has none. Raises InputError."""
    if not args.cluster:
        return state, problems
    cluster, more = cluster_of(args.cluster)
    return with_workloads_of(state, cluster), problems + more
