"""What every test relies on: which machines can run which tests, said out loud when one is skipped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("soak", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_report_header() -> list[str]:
    """How large the samples of the long suites are in this run."""
    examples = settings().max_examples
    clusters = os.environ.get("EASTWEST_NCA_CLUSTERS", "12")
    cases = Path(__file__).parent / "golden" / "policy"
    wire = sum(1 for line in (cases / "sample.txt").read_text().splitlines() if not line.startswith("#"))
    of = len(list((cases / "cases").glob("*.yaml")))
    return [
        f"samples: {wire} of {of} conformance cases on the wire (tests/golden/policy/sample.txt; make conformance: all)",
        f"samples: {examples} examples a property test (make soak: 2000), {clusters} clusters against NCA (make soak: 200)",
    ]


def _why_no_kernel() -> str | None:
    """Why real packets and kernel hooks cannot be tested here; None when they can."""
    if os.geteuid() != 0:
        return "needs root: network namespaces and eBPF"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "needs a kernel with BTF (/sys/kernel/btf/vmlinux)"
    missing = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)} (Debian: iproute2, nftables)"
    return None


def _why_no_browser() -> str | None:
    if shutil.which("chromium") is None:
        return "needs Chromium (Debian: chromium)"
    return None


_BORROWERS = {("console", "test_access.py"), ("console", "test_away.py")}


def _turn(item: pytest.Item) -> int:
    """First tests/api and who borrows its `send`: they ask for the last 15 minutes of what was sent when the run began. Then what
    waits for labs and packets, and last the fast ones, so that two processes end together (the Makefile's --no-loadscope-reorder)."""
    if "api" in item.path.relative_to(Path(__file__).parent).parts or item.path.parts[-2:] in _BORROWERS:
        return 0
    return 1 if item.get_closest_marker("root") else 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones before fast ones; skip what this machine cannot do, with the reason."""
    of_file: dict[Path, int] = {}
    for item in items:
        of_file[item.path] = min(of_file.get(item.path, 2), _turn(item))
    items.sort(key=lambda item: of_file[item.path])
    reasons = {"root": _why_no_kernel(), "browser": _why_no_browser()}
    for item in items:
        for marker, reason in reasons.items():
            if reason is not None and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
