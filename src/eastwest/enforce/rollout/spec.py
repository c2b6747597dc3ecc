"""What a rollout is asked to do, and the steps that come of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from eastwest.enforce.modes import EVERY_NAMESPACE
from eastwest.enforce.rollout.modes import Modes, raised
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode

BOTH: Final = (Direction.INGRESS, Direction.EGRESS)


class RolloutError(ValueError):
    """What was asked for cannot be done; `parameter` names what to change, where it is one."""

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Stage:
    """A named part of the way; None is all nodes (also those that come later), or all namespaces of the rollout."""

    name: str
    nodes: tuple[str, ...] | None = None
    namespaces: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a step may do before it is taken back. Ratios are of 1."""

    coverage_ratio: float = 0.95  # of the bytes at a node's hooks, that are in records
    retransmit_ratio: float = 0.02  # retransmitted segments, above the window before the step
    failure_ratio: float = 0.05  # connections failed, reset by silence or never established, above the window before
    least_events: int = 5  # fewer of them are no jump


@dataclass(frozen=True, slots=True)
class Request:
    """See the command line. `budget` is a count of nodes or a percentage of them; `stages` take its place."""

    namespaces: tuple[str, ...]
    to: Mode = Mode.ENFORCE
    directions: tuple[Direction, ...] = BOTH
    budget: str = "10%"
    stages: tuple[Stage, ...] = ()
    hold_ns: int = 300_000_000_000
    lookback_ns: int = 86_400_000_000_000
    patience_ns: int = 60_000_000_000  # that a node may take to put a step in force, or may not be heard
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Step:
    """One change of modes: `mode` for `namespaces` on `nodes` (None: on all, also on nodes that come later)."""

    name: str
    mode: Mode
    namespaces: tuple[str, ...]
    nodes: tuple[str, ...] | None
    directions: tuple[Direction, ...] = BOTH

    def covers(self, namespace: str, node: str) -> bool:
        return namespace in self.namespaces and (self.nodes is None or node in self.nodes)


def budget_of(text: str, nodes: int) -> int:
    """How many nodes a step may take: a percentage is rounded down, but one at least. Raises RolloutError."""
    number, percent = text.removesuffix("%"), text.endswith("%")
    if not number.isdecimal() or not 0 < int(number) <= (100 if percent else 1_000_000):
        raise RolloutError(f"budget {text!r}: expected a number of nodes such as 2, or a share such as 10%", "budget")
    return max(1, int(number) * nodes // 100) if percent else int(number)


def stages_of(request: Request, nodes: Sequence[str]) -> tuple[Stage, ...]:
    """The stages as given, else by the budget: the last one takes all nodes, also those to come."""
    if request.stages:
        _check(request, nodes)
        return request.stages
    ordered, size = sorted(nodes), budget_of(request.budget, len(nodes))
    batches = [tuple(ordered[at : at + size]) for at in range(0, len(ordered), size)]
    named = [Stage(_words(batch), batch) for batch in batches[:-1]]
    return (*named, Stage("every node" if not named else f"{_words(batches[-1])} and every other node"))


def _words(nodes: tuple[str, ...]) -> str:
    return ", ".join(nodes) if len(nodes) <= 3 else f"{nodes[0]} and {len(nodes) - 1} more nodes"


def _check(request: Request, nodes: Sequence[str]) -> None:
    for stage in request.stages:
        for name in stage.nodes or ():
            if name not in nodes:
                raise RolloutError(f"stage {stage.name!r}: no node {name!r}; there are {', '.join(nodes)}", "stages")
        for name in stage.namespaces or ():
            if name not in request.namespaces:
                raise RolloutError(f"stage {stage.name!r}: namespace {name!r} is not in this rollout", "stages")


def steps_of(request: Request, nodes: Sequence[str], before: Modes) -> tuple[Step, ...]:
    """Every stage to audit, then every stage to enforce, without steps that would change nothing. Raises RolloutError."""
    if not request.namespaces:
        raise RolloutError("no namespaces: name some, or all of them", "namespaces")
    if EVERY_NAMESPACE in request.namespaces:
        raise RolloutError("a rollout names its namespaces, so that its gates know whom to watch", "namespaces")
    if not nodes:
        raise RolloutError("no node is known yet: the server needs an inventory (--lab, --manifests)", "budget")
    if request.to is Mode.OFF:
        raise RolloutError("a rollout goes to audit or to enforce; to switch off use `eastwest enforce set`", "to")
    ways = (Mode.AUDIT,) if request.to is Mode.AUDIT else (Mode.AUDIT, Mode.ENFORCE)
    stages = stages_of(request, nodes)
    modes, out = before, list[Step]()
    for mode in ways:
        for stage in stages:
            chosen = stage.namespaces or request.namespaces
            step = Step(f"{mode}: {stage.name}", mode, chosen, stage.nodes, request.directions)
            after = raised(modes, step.mode, step.namespaces, step.directions, step.nodes)
            if after != modes:
                modes = after
                out.append(step)
    if not out:
        raise RolloutError(f"nothing to do: {', '.join(request.namespaces)} are there already", "namespaces")
    return tuple(out)


def modes_after(before: Modes, steps: Iterable[Step]) -> Modes:
    """The modes once these steps are taken. Steps only ever raise: a namespace that enforced already goes on."""
    modes = before
    for step in steps:
        modes = raised(modes, step.mode, step.namespaces, step.directions, step.nodes)
    return modes
