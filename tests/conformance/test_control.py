"""The control run: where nobody enforces anything, the runner says so, case by case and in exactly the right cells."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from eastwest.cli.lab.conformance import run_cases
from eastwest.cli.main import main
from eastwest.lab.conformance.wire import WireRow
from eastwest.policy.conformance.case import parse_case

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

DENY = {"kind": "NetworkPolicy", "metadata": {"name": "deny", "namespace": "x"},
        "spec": {"podSelector": {"matchLabels": {"pod": "a"}}, "policyTypes": ["Ingress"]}}  # fmt: skip
OPEN = {"name": "open", "steps": [{"expect": {"default": "allow", "cells": [
    {"from": "192.0.2.7", "to": "x/a", "port": 5000, "allowed": True},
    {"from": "x/a", "to": "2001:db8:7::7", "port": 80, "family": 6, "allowed": True},
    {"from": "y/a", "to": "x/a", "protocol": "ICMP", "allowed": True},
]}}]}  # fmt: skip
SHUT = {"name": "shut", "steps": [
    {"expect": {"cells": [{"from": "y/a", "to": "x/a", "port": 80, "allowed": True}]}},
    {"apply": [DENY], "expect": {"cells": [
        {"from": "y/a", "to": "x/a", "port": 80, "established": True, "allowed": False},
        {"from": "*/*", "to": "x/a", "port": 80, "allowed": False},
        {"from": "x/a", "to": "y/a", "port": 80, "allowed": True},
    ]}},
]}  # fmt: skip


@pytest.fixture(scope="module")
def short_run_dir(short_folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASTWEST_RUN_DIR", str(short_folder))
        yield


@pytest.fixture(scope="module")
def rows(short_run_dir: None) -> list[WireRow]:
    cases = [parse_case(document, "t.yaml") for document in (OPEN, SHUT)]
    outcome = run_cases(cases, f"ctrl{os.getpid() % 100000}", enforce=False)
    assert outcome.broken == []
    return outcome.rows


def test_what_is_to_be_open_is_open_in_every_cell(rows: list[WireRow]) -> None:
    own = [r for r in rows if r.row.case == "open"]
    assert len(own) == 9 * 8 * 12 + 3 + 3 + 2
    assert [r for r in own if not r.agreed] == []


def test_what_is_to_be_shut_and_is_not_is_reported_in_exactly_its_cells(rows: list[WireRow]) -> None:
    wrong = [r for r in rows if not r.agreed]
    assert {r.row.case for r in wrong} == {"shut"}
    assert {r.row.question.dst for r in wrong} == {"x/a"}
    assert all(r.wire and not r.row.expected and not r.row.engine for r in wrong)
    again = [r for r in wrong if r.row.established]
    assert {(r.row.question.src, r.row.question.protocol, r.row.question.family, r.outcome) for r in again} == {
        ("y/a", protocol, family, "alive") for protocol in ("TCP", "UDP", "SCTP") for family in (4, 6)
    }
    assert len(wrong) == 8 * 6 + 6


def test_the_command_exits_1_and_shows_the_cells(
    short_run_dir: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shut.yaml").write_text(json.dumps(SHUT))
    name = f"ctrl{os.getpid() % 100000}"
    assert main(["lab", "conformance", str(tmp_path), "--without-enforcement", "--name", name]) == 1
    out = capsys.readouterr().out
    assert "y/a\tx/a\t80/TCP,80/UDP,80/SCTP\tIPv4 IPv6\tdeny (established)\tallow (alive)\tdeny\t" in out
    assert out.splitlines()[-1].startswith("1 cases, 66 cells on the wire in")
    assert "1 cases with 54 cells that disagree" in out
    assert main(["lab", "conformance", str(tmp_path / "nothing"), "--name", name]) == 2
