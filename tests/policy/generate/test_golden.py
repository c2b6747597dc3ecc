"""Policies from real recordings of the laboratory, as a person reviews them; and a second, held-out window replayed.

Rewrite the expected files with: EASTWEST_GOLDEN=1 pytest tests/policy/generate/test_golden.py
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from eastwest.cli.main import main

CASES = sorted(p for p in (Path(__file__).parents[2] / "golden/generate").iterdir() if p.is_dir())


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*.yaml"))}


@pytest.mark.parametrize("case", CASES, ids=lambda p: str(p.name))
def test_policies_of_a_recording(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["policy", "generate", "--evidence", str(case / "evidence.zip"), "-o", str(out)]) == 0
    summary, _, written = capsys.readouterr().out.partition("Written to ")
    assert written.startswith(f"{out}: ")
    if os.environ.get("EASTWEST_GOLDEN"):
        shutil.rmtree(case / "expected", ignore_errors=True)
        shutil.copytree(out, case / "expected")
        (case / "summary.txt").write_text(summary)
    assert contents(out) == contents(case / "expected")
    assert summary == (case / "summary.txt").read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda p: str(p.name))
def test_a_held_out_window_is_not_denied(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing recorded later is denied; what was not used is a resolver's TCP, or what a CronJob does once in a while."""
    args = [
        "policy",
        "replay",
        "--policies",
        str(case / "expected"),
        "--evidence",
        str(case / "held-out.zip"),
        "--json",
    ]
    assert main(args) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["flows"] > 100
    assert answer["denied"] == []
    rare = [u for u in answer["unused"] if u["reason"] != "dns-tcp"]
    texts = [(case / "expected" / f"{u['policy']}.yaml").read_text() for u in rare]
    assert all("[CronJob]" in text for text in texts)
