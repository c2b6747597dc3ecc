"""`eastwest demo --story`: the whole way from nothing to least privilege, on real packets, one line a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from eastwest.cli._stack import Plan, Say, Stack, StackError
from eastwest.cli.story.scene import SCENARIO, Scene, StoryError
from eastwest.cli.story.steps import STEPS
from eastwest.lab.state import LabError

Step = Callable[[Scene], str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One step. `denied`: edges of which something was denied. `said`: what came of it, or why it failed."""

    number: int
    title: str
    ok: bool
    attempted: int
    failed: int
    denied: int
    seconds: float
    said: str

    def line(self) -> str:
        mark = "ok  " if self.ok else "FAIL"
        bought = f"{self.attempted:4d} purchases, {self.failed:3d} failed, {self.denied:3d} flows denied"
        return f"{mark} {self.number}. {self.title:<44} {bought}  {self.seconds:5.1f} s  {self.said}"


def plan(name: str, network: str = "routed", listen: str = "127.0.0.1:0") -> Plan:
    """What the story needs: the shop alone, enforcement possible."""
    return Plan([SCENARIO], name=name, network=network, listen=listen, enforce=True)


def play(scene: Scene, steps: Iterable[tuple[str, Step]] = STEPS) -> Iterator[Outcome]:
    """The outcome of each step, in order; the first that fails is the last."""
    for number, (title, step) in enumerate(steps, 1):
        outcome = _play_one(scene, number, title, step)
        yield outcome
        if not outcome.ok:
            return


def _play_one(scene: Scene, number: int, title: str, step: Step) -> Outcome:
    began, since_ns, before = time.monotonic(), time.time_ns(), scene.purchases()
    try:
        said, ok = step(scene), True
    except (StoryError, StackError, LabError) as problem:
        said, ok = str(problem) or type(problem).__name__, False
    bought = scene.purchases().since(before)
    seconds = time.monotonic() - began
    return Outcome(
        number, title, ok, bought.attempted, bought.failed, scene.count_denied(since_ns), round(seconds, 1), said
    )


def tell(chosen: Plan, say: Say) -> list[Outcome]:
    """Start everything, play every step, stop everything. `say` gets each line. Raises StackError."""
    began_ns = time.time_ns()
    with Stack(chosen, say=say) as stack, TemporaryDirectory(prefix="eastwest-story-") as folder:
        outcomes = []
        for outcome in play(Scene(stack, Path(folder), began_ns)):
            say(outcome.line())
            outcomes.append(outcome)
        return outcomes


def summary(outcomes: list[Outcome]) -> dict[str, object]:
    """The answer of --json."""
    return {"ok": len(outcomes) == len(STEPS) and all(o.ok for o in outcomes), "steps": [asdict(o) for o in outcomes]}
