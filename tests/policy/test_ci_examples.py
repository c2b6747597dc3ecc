"""The commands of docs/ci.md and docs/examples/ci, run in a repository of the shape that they describe."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from eastwest.cli.main import main
from policy.test_evidence_commands import DNS, FLOWS, ORDERS, UI, bundle, flow

DOCS = Path(__file__).parents[2] / "docs"
INTENT = """
namespace: shop
intents:
- ui may reach orders on 8080
- only orders may reach db on 5432
"""
NAMES = [flow(UI, DNS, 53), flow(ORDERS, DNS, 53)]  # DNS over TCP was used, too: nothing is beyond what was seen


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """manifests/ (policies only), evidence/ and intent.yaml, and ../base as the checkout of before."""
    here = tmp_path / "branch"
    here.mkdir()
    bundle(here / "evidence", FLOWS + NAMES)
    (here / "intent.yaml").write_text(INTENT)
    monkeypatch.chdir(here)
    assert main(["policy", "generate", "--evidence", "evidence/", "-o", "manifests/"]) == 0
    shutil.copytree(here, tmp_path / "base")
    capsys.readouterr()
    return here


def of_page() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", (DOCS / "ci.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("eastwest ")]


def of_actions() -> list[str]:
    job = yaml.safe_load((DOCS / "examples/ci/github-actions.yaml").read_text())["jobs"]["verify"]
    return [step["run"] for step in job["steps"] if step.get("run", "").startswith("eastwest ")]


def of_pre_commit() -> list[str]:
    (repo,) = yaml.safe_load((DOCS / "examples/ci/pre-commit-config.yaml").read_text())["repos"]
    return [hook["entry"] for hook in repo["hooks"]]


def run(command: str) -> int:
    return main(shlex.split(command)[1:])


@pytest.mark.parametrize("commands", [of_page, of_actions, of_pre_commit], ids=lambda f: f.__name__)
def test_a_sound_repository_passes(commands: Any, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(commands()) >= 2
    for command in commands():
        assert run(command) == 0, (command, capsys.readouterr())


def test_a_policy_that_is_taken_away_is_noticed(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "manifests/shop/ui.yaml").unlink()
    failed = {shlex.split(c)[2]: run(c) for c in of_page()}
    assert failed == {"lint": 0, "verify": 1, "replay": 1, "diff": 1, "check": 1}
    said = capsys.readouterr().out
    assert "removes shop/ui → shop/orders TCP 8080" in said
    assert "DENIED: shop/ui-0 → shop/orders-0 TCP 8080" in said
    assert "failure" in (repository / "intent.xml").read_text()
    assert json.loads((repository / "intent.sarif").read_text())["runs"][0]["results"]


def test_policies_alone_need_somebodys_workloads(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", "shop/ui", "shop/orders:8080/TCP", "manifests/"]) == 2
    assert "--cluster" in capsys.readouterr().err
    assert main(["policy", "lint", "manifests/"]) == 1
    assert "--cluster" in capsys.readouterr().out
    for wrong, says in (("nowhere", "no such file"), ("intent.yaml/x", "intent.yaml/x")):
        assert main(["policy", "lint", "manifests/", "--cluster", wrong]) == 2
        assert says in capsys.readouterr().err
    zipped = shutil.make_archive(str(repository / "recording"), "zip", repository / "evidence")
    assert main(["policy", "lint", "manifests/", "--cluster", zipped]) == 0
