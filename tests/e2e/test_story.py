"""The storyline as one acceptance test: `eastwest demo --story`, step by step, on real packets."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eastwest.cli._stack import Stack
from eastwest.cli.story import course
from eastwest.cli.story.enforce import enforced, roll_out
from eastwest.cli.story.learn import observe_and_generate
from eastwest.cli.story.scene import Scene, StoryError
from eastwest.cli.story.steps import STEPS

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    began_ns = time.time_ns()
    with Stack(course.plan(f"story{os.getpid() % 100000}")) as stack:
        yield Scene(stack, Path(tmp_path_factory.mktemp("story")), began_ns)


@pytest.fixture(scope="module")
def outcomes(scene: Scene) -> Iterator[course.Outcome]:
    """Steps in their order; each is played when a test asks for it."""
    return course.play(scene)


@pytest.mark.parametrize("number", range(1, len(STEPS) + 1), ids=[title for title, _ in STEPS])
def test_step(outcomes: Iterator[course.Outcome], number: int) -> None:
    # a step that is asked for alone plays those before it, too
    outcome = next((o for o in outcomes if o.number == number or not o.ok), None)
    if outcome is None or outcome.number != number:
        pytest.fail("an earlier step failed; the story ends there")
    print(outcome.line())
    assert outcome.ok, outcome.said
    assert outcome.attempted > 0 or number == 5, "nobody was buying: the step shows nothing"


def test_a_rollout_goes_on_after_kills_of_server_and_agent(scene: Scene) -> None:
    """kill -9 of both in the middle: it ends where it would have, and nobody's purchase fails."""
    stack = scene.stack
    if not scene.policies.exists():  # this test alone
        observe_and_generate(scene)
        scene.apply(scene.policies)
    scene.mode("off", enforced(scene))
    scene.recover()
    before = scene.purchases()
    # what a killed agent did not see is a reason to stop (tests/enforce/rollout/test_gates.py); here it must go on
    started = roll_out(scene, "2", "4s", wait=False, more=("--coverage", "0%"))
    assert started["status"] == "running"
    scene.wait("the second step", lambda: scene.ask("rollout", "status")["step"] == 2, 30)
    agent = next(iter(stack.agents))
    for part in (stack.server, stack.agents[agent]):
        assert part is not None
        assert part.process is not None
        os.kill(part.process.pid, signal.SIGKILL)
        part.process.wait()
    stack.start_agent(agent)
    stack.start_server()
    after = scene.ask("rollout", "status")
    assert (after["id"], after["step"]) == (started["id"], 2), "the state came back"
    try:
        scene.wait("the rollout to end", lambda: _status(scene)["status"] != "running", 200)
    except StoryError:
        pytest.fail(f"it does not end: {_status(scene)}")
    found = _status(scene)
    assert found["status"] == "done", found["stops"]
    assert {c["egress"] for c in found["cells"]} == {"enforce"}
    assert scene.purchases().since(before).failed == 0, scene.last_failure()


def _status(scene: Scene) -> Any:
    return scene.ask("rollout", "status", codes=(0, 1))
