"""Pods on one bridge whose packets pass FORWARD, as Kubernetes asks of br_netfilter: what finds neighbours is never filtered."""

from __future__ import annotations

from pathlib import Path

import pytest

from eastwest.cli.lab.conformance import run_cases
from eastwest.cli.policy.conformance import load_cases

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

CASES = Path(__file__).parents[1] / "golden" / "policy" / "cases"
SEEN_AT_FORWARD = Path("/proc/sys/net/bridge/bridge-nf-call-ip6tables")


def test_an_isolated_pod_finds_its_neighbour_on_the_bridge(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv6 to a pod that nobody asked for before, from one whose egress is closed to multicast as to all else."""
    if not SEEN_AT_FORWARD.exists():
        pytest.skip("br_netfilter is not loaded: bridged packets do not pass FORWARD here")
    monkeypatch.setenv("EASTWEST_RUN_DIR", str(short_folder))
    cases = list(load_cases([str(CASES / "named-port-differs-per-pod-egress.yaml")]))
    outcome = run_cases(cases, "neighbours", "bridged")
    assert not outcome.broken
    assert any(row.wire and row.row.question.family == 6 for row in outcome.rows)
    assert [row.to_json() for row in outcome.disagreeing] == []
