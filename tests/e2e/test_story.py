"""The storyline as one acceptance test: `eastwest demo --story`, step by step, on real packets."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eastwest.cli import _story
from eastwest.cli._stack import Stack
from eastwest.cli._story_scene import Scene
from eastwest.cli._story_steps import STEPS

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    began_ns = time.time_ns()
    with Stack(_story.plan(f"story{os.getpid() % 100000}")) as stack:
        yield Scene(stack, Path(tmp_path_factory.mktemp("story")), began_ns)


@pytest.fixture(scope="module")
def outcomes(scene: Scene) -> Iterator[_story.Outcome]:
    """Steps in their order; each is played when a test asks for it."""
    return _story.play(scene)


@pytest.mark.parametrize("number", range(1, len(STEPS) + 1), ids=[title for title, _ in STEPS])
def test_step(outcomes: Iterator[_story.Outcome], number: int) -> None:
    outcome = next(outcomes, None)
    if outcome is None or outcome.number != number:
        pytest.fail("an earlier step failed; the story ends there")
    print(outcome.line())
    assert outcome.ok, outcome.said
    assert outcome.attempted > 0 or number == 5, "nobody was buying: the step shows nothing"
