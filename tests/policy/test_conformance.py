"""Every golden case through the engine, the runner's own rules, and that it notices a wrong expectation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eastwest.cli.main import main
from eastwest.cli.policy.conformance import load_cases, parse_objects
from eastwest.policy.conformance.case import CaseError, parse_case
from eastwest.policy.conformance.run import CaseRun, run_case

CASES = Path(__file__).parent.parent / "golden" / "policy" / "cases"
POLICY = {
    "kind": "NetworkPolicy",
    "metadata": {"name": "p", "namespace": "x"},
    "spec": {"podSelector": {"matchLabels": {"pod": "a"}}, "policyTypes": ["Ingress"]},
}


@pytest.mark.parametrize("file", sorted(CASES.glob("*.yaml")), ids=lambda f: f.stem)
def test_golden_case(file: Path) -> None:
    (case,) = load_cases([str(file)])
    assert case.name == file.stem
    rows = list(run_case(case, parse_objects))
    assert rows
    assert [r for r in rows if not r.passed] == []


def run(*steps: dict, **more: object):
    return list(run_case(parse_case({"name": "t", "steps": list(steps), **more}, "t.yaml"), parse_objects))


def test_default_covers_every_pair_port_protocol_and_family() -> None:
    rows = run({"expect": {"default": "allow"}})
    assert len(rows) == 9 * 8 * 2 * 3 * 2
    assert all(r.passed for r in rows)


def test_a_wrong_expectation_fails_in_exactly_its_cells() -> None:
    cell = {"from": "y/b", "to": "x/a", "port": 80, "protocol": "TCP", "family": 6, "allowed": True}
    rows = run({"apply": [POLICY], "expect": {"cells": [cell]}})
    assert [(r.passed, r.expected, r.engine) for r in rows] == [(False, True, False)]
    rows = run({"apply": [POLICY], "expect": {"default": "allow"}})
    assert {r.question.dst for r in rows if not r.passed} == {"x/a"}
    assert sum(not r.passed for r in rows) == 8 * 12


def test_addresses_may_become_known_while_a_case_runs() -> None:
    block = {"from": [{"ipBlock": {"cidr": "${ip4:y/b}/32"}}]}
    policy = {**POLICY, "spec": {**POLICY["spec"], "ingress": [block]}}
    steps = [{"apply": [policy], "expect": {"cells": [{"from": "y/b", "to": "x/a", "family": 4, "allowed": True}]}}]
    addresses: dict[str, tuple[str, ...]] = {}
    going = CaseRun(parse_case({"name": "t", "steps": steps}, "t.yaml"), parse_objects, None, addresses)
    going.change(0)
    addresses["y/b"] = ("10.7.7.7",)
    objects = {o["metadata"]["name"]: o for o in going.cluster.objects()}
    assert objects["p"]["spec"]["ingress"][0]["from"][0]["ipBlock"]["cidr"] == "10.7.7.7/32"
    assert all(r.passed for r in going.rows(0))


def test_a_pattern_says_it_of_all_pairs_about_which_nothing_was_said() -> None:
    cells = [{"from": "y/b", "to": "x/a", "port": 81, "allowed": False}, {"from": "y/*", "to": "x/*", "allowed": True}]
    rows = run({"apply": [POLICY], "expect": {"cells": [*cells, {"from": "*/*", "to": "x/a", "allowed": False}]}})
    assert len({r.question for r in rows}) == len(rows) == 3 * 3 * 12 + 5 * 12
    assert {(r.question.src, r.question.port) for r in rows if r.passed and r.question.dst == "x/a"} == {
        ("y/b", 81), *((f"{pod}", port) for pod in ("x/b", "x/c", "z/a", "z/b", "z/c") for port in (80, 81))
    }  # fmt: skip
    with pytest.raises(CaseError, match="no pods are called so"):
        run({"expect": {"cells": [{"from": "q/*", "to": "x/a", "allowed": True}]}})


def test_addresses_stay_and_expand() -> None:
    block = {"ipBlock": {"cidr": "${ip4:y/b/24}", "except": ["${ip4:y/c}/32"]}}
    policy = {**POLICY, "spec": {**POLICY["spec"], "ingress": [{"from": [block]}]}}
    relabelled = {"kind": "Pod", "metadata": {"name": "b", "namespace": "y", "labels": {}}}
    cells = [{"from": "y/b", "to": "x/a", "family": 4, "allowed": True}, {"from": "y/c", "to": "x/a", "allowed": False}]
    rows = run({"apply": [policy], "expect": {"cells": cells}}, {"apply": [relabelled], "expect": {"cells": cells}})
    assert len(rows) == 2 * (6 + 12)
    assert all(r.passed for r in rows)


def test_given_addresses_win() -> None:
    policy = {**POLICY, "spec": {**POLICY["spec"], "ingress": [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]}}
    cell = {"from": "y/b", "to": "x/a", "family": 4, "allowed": True}
    case = parse_case({"name": "t", "steps": [{"apply": [policy], "expect": {"cells": [cell]}}]}, "t.yaml")
    addresses = {"y/b": ("192.0.2.7", "fd00::7")}
    assert all(r.passed for r in run_case(case, parse_objects, addresses=addresses))
    assert not any(r.passed for r in run_case(case, parse_objects))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "must be a mapping"),
        ({"name": "t", "steps": []}, "at least one step"),
        ({"name": "t", "stepz": []}, "unknown field 'stepz'"),
        ({"name": "t", "steps": [{"expect": {"default": "maybe"}}]}, "'maybe' is not allow or deny"),
        ({"name": "t", "steps": [{"apply": [{"kind": "Pod"}]}]}, r"steps\[0\]: apply\[0\]: metadata.name"),
        ({"name": "t", "steps": [{"expect": {"cells": [{"from": "x/a", "to": "x/b"}]}}]}, "allowed: must be true"),
    ],
)
def test_bad_cases_are_named(document: object, says: str) -> None:
    with pytest.raises(CaseError, match=says):
        parse_case(document, "t.yaml")


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"delete": [{"kind": "NetworkPolicy", "namespace": "x", "name": "gone"}]}, "there is no NetworkPolicy x/gone"),
        ({"expect": {"cells": [{"from": "x/q", "to": "x/a", "allowed": True}]}}, "no pod or workload 'x/q'"),
        ({"expect": {"cells": [{"from": "${ip4:q/q}", "to": "x/a", "allowed": True}]}}, "q/q has no IPv4 address"),
        ({"apply": [{**POLICY, "spec": {"policyTypes": ["Sideways"]}}]}, "Sideways"),
        ({"expect": {"cells": [{"from": "x/b", "to": "x/a", "allowed": True, "established": True}]}}, "no step before"),
    ],
)
def test_steps_that_cannot_run_are_named(step: dict, says: str) -> None:
    with pytest.raises(CaseError, match=says):
        run(step)


def test_the_command_reports_rows_and_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = str(CASES / "named-port-differs-per-pod.yaml")
    assert main(["policy", "conformance", good, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert set(rows[0]) == {
        "case", "step", "from", "to", "port", "protocol", "family", "expected", "engine", "wire", "reason",
    }  # fmt: skip
    assert rows[0]["wire"] is None
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: wrong\nsteps: [{expect: {default: deny}}]\n")
    assert main(["policy", "conformance", good, str(wrong)]) == 1
    assert "2 cases" in capsys.readouterr().out
    wrong.write_text("name: wrong\nsteps: []\n")
    assert main(["policy", "conformance", str(wrong)]) == 2
    assert "at least one step" in capsys.readouterr().err
