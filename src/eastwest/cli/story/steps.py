"""The eight steps in their order: each does one thing to a real cluster and says what came of it, or raises StoryError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eastwest.cli.story.change import new_connection
from eastwest.cli.story.enforce import closed_paths, staged_rollout
from eastwest.cli.story.learn import default_deny, no_policies, observe_and_generate
from eastwest.cli.story.mistakes import bad_policy, ended_too_early
from eastwest.cli.story.scene import Scene

STEPS: Final[tuple[tuple[str, Callable[[Scene], str]], ...]] = (
    ("no policies", no_policies),
    ("default deny without policies, and back", default_deny),
    ("observe, generate, replay a new window", observe_and_generate),
    ("staged rollout to enforce", staged_rollout),
    ("every path that was not observed is closed", closed_paths),
    ("a connection that nobody declared", new_connection),
    ("a bad policy during a rollout", bad_policy),
    ("observation ends before the CronJob runs", ended_too_early),
)
