"""The logic of a rollout, pure: state and what is seen to the next state; the modes it wants follow from the state alone.

Modes are always those before the rollout plus a number of whole steps, so nothing is ever half applied: whoever holds a
state (also after a crash) puts `wanted(state)` in force, and is done. Time and observations come from `driver`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from eastwest.enforce.modes import Snapshot
from eastwest.enforce.rollout.gates import Finding, Gate, Observation, judge
from eastwest.enforce.rollout.modes import Modes, modes_of, own
from eastwest.enforce.rollout.spec import Request, RolloutError, Step, modes_after, steps_of
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode

EVENTS_KEPT = 200


class Status(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"  # by a person: the gates still watch
    STOPPED = "stopped"  # by a gate: resume tries again, abort goes back to the beginning
    DONE = "done"
    ABORTED = "aborted"


OVER = (Status.DONE, Status.ABORTED)


@dataclass(frozen=True, slots=True)
class Event:
    at_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a gate stopped the rollout, and what was taken back."""

    at_ns: int
    step: str
    findings: tuple[Finding, ...]
    rolled_back: tuple[str, ...]  # names of steps, newest first


@dataclass(frozen=True, slots=True)
class State:
    """`applied`: how many of `steps` are in force; `step_ns`: since when; `realised_ns`: since when on every node.

    `before`: the settings of all its namespaces; those in `own` had an entry, the others followed a wider one.
    """

    id: str
    request: Request
    steps: tuple[Step, ...]
    before: Modes
    started_ns: int
    own: tuple[tuple[str, Direction], ...] = ()
    status: Status = Status.RUNNING
    applied: int = 0
    step_ns: int = 0
    realised_ns: int | None = None
    stops: tuple[Stop, ...] = ()
    events: tuple[Event, ...] = ()

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def current(self) -> Step | None:
        """The step in force last."""
        return self.steps[self.applied - 1] if self.applied else None


def wanted(state: State) -> Modes:
    """The modes of the rollout's namespaces that this state asks for."""
    return modes_after(state.before, state.steps[: state.applied])


def settled(state: State, settings: Snapshot) -> Snapshot:
    """The settings with what this state wants in them; other namespaces and the postures stay as they are."""
    found = dict(settings.modes)
    for key, setting in wanted(state).items():
        if state.applied or key in state.own:
            found[key] = setting
        else:
            found.pop(key, None)
    return replace(settings, modes=tuple(sorted(found.items(), key=lambda item: item[0])))


def begin(name: str, request: Request, nodes: Sequence[str], settings: Snapshot, now_ns: int) -> State:
    """A rollout that has changed nothing yet. Raises RolloutError."""
    before = modes_of(settings, request.namespaces, request.directions)
    steps = steps_of(request, nodes, before)
    state = State(name, request, steps, before, now_ns, own(settings, before), step_ns=now_ns)
    return _said(state, now_ns, f"started: {', '.join(request.namespaces)} to {request.to} in {len(steps)} steps")


def advance(state: State, seen: Observation | None) -> State:
    """One look. Without an observation nothing moves: what is not known is no permission to go on."""
    if seen is None or state.over:
        return state
    findings = _reasons(state, seen)
    if findings:
        return _stop(state, findings, seen.at_ns)
    if state.status is not Status.RUNNING:
        return state
    if not state.applied:
        return _apply(state, seen.at_ns)
    if state.realised_ns is None:
        if seen.unrealised:
            return state
        assert state.current is not None
        return _said(replace(state, realised_ns=seen.at_ns), seen.at_ns, f"in force: {state.current.name}")
    if seen.unrealised or seen.watched_ns < state.request.hold_ns:
        return state
    if state.applied < len(state.steps):
        return _apply(state, seen.at_ns)
    return _said(replace(state, status=Status.DONE), seen.at_ns, "done")


def _apply(state: State, now_ns: int) -> State:
    step = state.steps[state.applied]
    moved = replace(state, applied=state.applied + 1, step_ns=now_ns, realised_ns=None)
    return _said(moved, now_ns, f"step {state.applied + 1} of {len(state.steps)}: {step.name}")


def _reasons(state: State, seen: Observation) -> list[Finding]:
    """What counts in this state: before the first step whether anybody watches, once stopped only what is still denied."""
    findings = judge(seen, state.request, state.step_ns)
    match state.status:
        case Status.STOPPED:
            return [f for f in findings if f.enforced and _first(state, f) is not None]
        case Status.RUNNING if not state.applied:
            return [f for f in findings if f.gate is Gate.COVERAGE]
        case _ if not state.applied:
            return []
        case _:
            return findings


def _first(state: State, finding: Finding) -> int | None:
    """The first step in force that enforces where the finding is."""
    for at, step in enumerate(state.steps[: state.applied]):
        if step.mode is Mode.ENFORCE and any(step.covers(*cell) for cell in finding.cells):
            return at
    return None


def _stop(state: State, findings: list[Finding], now_ns: int) -> State:
    """Take the last step back, and every earlier one whose pods deny what the findings say."""
    keep = state.applied if state.status is Status.STOPPED else max(0, state.applied - 1)
    for finding in findings:
        first = _first(state, finding) if finding.enforced else None
        keep = keep if first is None else min(keep, first)
    back = tuple(step.name for step in reversed(state.steps[keep : state.applied]))
    name = state.current.name if state.current else "before the first step"
    stop = Stop(now_ns, name, tuple(findings), back)
    stopped = replace(
        state, status=Status.STOPPED, applied=keep, step_ns=now_ns, realised_ns=None, stops=(*state.stops, stop)
    )
    more = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
    return _said(stopped, now_ns, f"stopped, {len(back)} steps rolled back: {findings[0].text}{more}")


# --- people ------------------------------------------------------------------------------------------------------


def pause(state: State, now_ns: int) -> State:
    """Stay at the step in force. Raises RolloutError."""
    if state.status is not Status.RUNNING:
        raise RolloutError(f"the rollout is {state.status}: only a running one can be paused")
    return _said(replace(state, status=Status.PAUSED), now_ns, "paused")


def resume(state: State, now_ns: int) -> State:
    """Go on: after a pause the step is held again from the start, after a stop it is tried again. Raises RolloutError."""
    if state.status is Status.PAUSED:
        return _said(replace(state, status=Status.RUNNING, realised_ns=None, step_ns=now_ns), now_ns, "resumed")
    if state.status is Status.STOPPED:
        going = replace(state, status=Status.RUNNING, realised_ns=None, step_ns=now_ns)
        return _said(going, now_ns, "resumed after a stop")
    raise RolloutError(f"the rollout is {state.status}: only a paused or stopped one can be resumed")


def abort(state: State, now_ns: int) -> State:
    """Back to the modes before the rollout. Raises RolloutError."""
    if state.over:
        raise RolloutError(f"the rollout is {state.status} already; change modes with `eastwest enforce set`")
    back = replace(state, status=Status.ABORTED, applied=0, step_ns=now_ns, realised_ns=None)
    return _said(back, now_ns, f"aborted: {state.applied} steps rolled back")


def _said(state: State, now_ns: int, text: str) -> State:
    return replace(state, events=(*state.events, Event(now_ns, text))[-EVENTS_KEPT:])
