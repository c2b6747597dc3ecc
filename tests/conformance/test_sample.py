"""A fixed sample of the conformance cases on real packets: lab, server and enforcing agents; `make conformance` runs all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from eastwest.cli.lab.conformance import Outcome, run_cases
from eastwest.cli.policy.conformance import load_cases

pytestmark = [pytest.mark.root, pytest.mark.timeout(420)]

GOLDEN = Path(__file__).parent.parent / "golden" / "policy"
SAMPLE = [
    name for name in (GOLDEN / "sample.txt").read_text().split("\n") if name and not name.startswith("#")
]  # fmt: skip


@pytest.fixture(scope="module")
def outcome(short_folder: Path) -> Iterator[Outcome]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASTWEST_RUN_DIR", str(short_folder))
        cases = list(load_cases([str(GOLDEN / "cases" / f"{name}.yaml") for name in SAMPLE]))
        found = run_cases(cases, f"conf{os.getpid() % 100000}", tell=print)
        print(found.summary)
        yield found


def test_every_case_of_the_sample_could_be_run(outcome: Outcome) -> None:
    assert outcome.broken == []
    assert {row.row.case for row in outcome.rows} == set(SAMPLE)


@pytest.mark.parametrize("name", SAMPLE)
def test_engine_wire_and_expectation_agree_in_every_cell(outcome: Outcome, name: str) -> None:
    rows = [row for row in outcome.rows if row.row.case == name]
    assert rows
    assert [(r.row.question, r.row.expected, r.row.engine, r.outcome) for r in rows if not r.agreed] == []


def test_the_sample_denies_and_allows_in_every_protocol_and_family(outcome: Outcome) -> None:
    seen = {(r.row.question.protocol, r.row.question.family, r.wire) for r in outcome.rows}
    assert seen == {(p, f, w) for p in ("TCP", "UDP", "SCTP", "ICMP") for f in (4, 6) for w in (True, False)}
