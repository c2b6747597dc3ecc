"""An evidence bundle (a file, or asked of a server) as the policy library takes it: cluster, distinct rows, watch."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eastwest.cli.policy._input import InputError
from eastwest.collector.enrich import enrich
from eastwest.k8s.inventory import Inventory
from eastwest.k8s.manifests import Problem, RawObject, load_text
from eastwest.k8s.sources import ObjectSource
from eastwest.model.cluster import ClusterState
from eastwest.model.flow import Workload
from eastwest.policy.evidence import Evidence
from eastwest.policy.evidence_columns import COLUMNS, group
from eastwest.policy.generate.report import Watch
from eastwest.policy.watch import watched
from eastwest.runtime.paths import DEFAULT_SERVER, server_url
from eastwest.wire.bundle import Bundle, BundleError, read


@dataclass(frozen=True, slots=True)
class Recorded:
    """A bundle, read and grouped."""

    cluster: ClusterState
    evidence: Evidence
    watched: Mapping[Workload, Watch]
    problems: tuple[Problem, ...]


def add_evidence_arguments(parser: argparse.ArgumentParser) -> None:
    """--evidence BUNDLE, or a window of a server."""
    group = parser.add_argument_group("evidence")
    group.add_argument("--evidence", metavar="BUNDLE", type=Path, help="an evidence bundle: a folder or a zip")
    group.add_argument(
        "--server", metavar="URL", default=server_url(), help=f"else the server to ask (default: {DEFAULT_SERVER})"
    )
    group.add_argument("--window", metavar="DURATION", help="how far back the server is asked: 5m, 1h … (default: 15m)")
    group.add_argument("--start", metavar="TIME", help="RFC 3339, for example 2026-11-22T10:00:00Z")
    group.add_argument("--end", metavar="TIME", help="RFC 3339 (default: now)")
    group.add_argument("--token-file", metavar="FILE", help="file with the API token (default: $EASTWEST_TOKEN if set)")


def recorded(args: argparse.Namespace) -> Recorded:
    """The bundle of --evidence, else a window of --server. Raises InputError."""
    try:
        if args.evidence is not None:
            return from_bundle(read(args.evidence, COLUMNS))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bundle.zip"
            _fetch(args, path)
            return from_bundle(read(path, COLUMNS))
    except (BundleError, OSError) as error:
        raise InputError(str(error)) from None


def _fetch(args: argparse.Namespace, path: Path) -> None:
    """Ask a server for a window. Imports its client only now: files alone need no HTTP library."""
    from eastwest.cli._client import ServerError
    from eastwest.cli.record import _download

    try:
        _download(args, path)
    except ServerError as error:
        raise InputError(str(error)) from None


def from_bundle(bundle: Bundle) -> Recorded:
    """Name what the records do not name themselves, and group them."""
    raws: list[RawObject] = []
    problems: list[Problem] = []
    for name, text in bundle.cluster_files.items():
        load_text(text, f"cluster/{name}", raws, problems, strict=False)
    inventory = Inventory([ObjectSource(raws)])
    inventory.poll()
    start_ns, end_ns = bundle.window_start_ns, max(bundle.window_end_ns, bundle.window_start_ns + 1)
    cluster = inventory.state_within(start_ns, end_ns)
    table = bundle.flows if "src_kind" in bundle.flows.column_names else enrich(bundle.flows, inventory)
    evidence = group(table, cluster, start_ns, end_ns)
    return Recorded(
        cluster,
        evidence,
        watched(inventory.pod_lives(start_ns, end_ns), cluster, bundle.coverage, start_ns),
        tuple(problems),
    )
