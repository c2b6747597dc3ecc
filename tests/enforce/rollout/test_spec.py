"""From what is asked to steps: budgets, stages, and what cannot be done."""

from __future__ import annotations

import pytest

from eastwest.enforce.modes import Setting
from eastwest.enforce.rollout.spec import RolloutError, Stage, budget_of, steps_of
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode
from enforce.rollout.factories_rollout import NODES, request


@pytest.mark.parametrize(("text", "nodes", "count"), [("10%", 30, 3), ("10%", 5, 1), ("100%", 7, 7), ("4", 3, 4)])
def test_a_budget_is_a_count_or_a_share_rounded_down_to_one_at_least(text: str, nodes: int, count: int) -> None:
    assert budget_of(text, nodes) == count


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-1", "ten", "", "%", "1.5"])
def test_budgets_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(RolloutError, match="budget"):
        budget_of(text, 10)


def test_the_last_step_of_each_mode_takes_nodes_to_come() -> None:
    steps = steps_of(request(budget="2"), NODES, {})
    assert [(s.mode, s.nodes) for s in steps] == [
        (Mode.AUDIT, ("node-1", "node-2")),
        (Mode.AUDIT, None),
        (Mode.ENFORCE, ("node-1", "node-2")),
        (Mode.ENFORCE, None),
    ]


def test_stages_say_which_nodes_and_namespaces() -> None:
    stages = (Stage("canary", ("node-3",), ("shop",)), Stage("rest"))
    steps = steps_of(request("shop", "bank", stages=stages), NODES, {})
    assert [(s.name, s.namespaces, s.nodes) for s in steps][:2] == [
        ("audit: canary", ("shop",), ("node-3",)),
        ("audit: rest", ("shop", "bank"), None),
    ]


def test_what_is_in_force_already_needs_no_step() -> None:
    audited = {("shop", d): Setting(Mode.AUDIT) for d in Direction}
    assert {s.mode for s in steps_of(request(), NODES, audited)} == {Mode.ENFORCE}
    with pytest.raises(RolloutError, match="nothing to do"):
        steps_of(request(to=Mode.AUDIT), NODES, audited)


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Stage("a", ("node-9",)), "no node 'node-9'; there are node-1"),
        (Stage("a", None, ("bank",)), "'bank' is not in"),
    ],
)
def test_stages_that_name_nothing_are_refused(stage: Stage, words: str) -> None:
    with pytest.raises(RolloutError, match=words):
        steps_of(request(stages=(stage,)), NODES, {})
