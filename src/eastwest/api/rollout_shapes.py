"""The shapes of rollouts, in and out, and the way between them and `enforce.rollout`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from eastwest.enforce.modes import Snapshot
from eastwest.enforce.rollout.driver import View
from eastwest.enforce.rollout.gates import BrokenFlow, Finding, Observation
from eastwest.enforce.rollout.machine import State
from eastwest.enforce.rollout.spec import BOTH, Limits, Request, Stage
from eastwest.model.flow import Direction, protocol_name
from eastwest.model.plan import Mode as PlanMode

Mode = Literal["off", "audit", "enforce"]
SECOND = 1_000_000_000
WEEK_S = 7 * 86_400


class RolloutStage(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=200)
    nodes: list[str] | None = Field(None, description="null: every node, also those that come later")
    namespaces: list[str] | None = Field(None, description="null: all of the rollout's")


class RolloutLimits(BaseModel):
    """What a step may do before it is taken back; ratios of 1."""

    model_config = ConfigDict(extra="forbid")
    coverage_ratio: float = Field(
        default=Limits().coverage_ratio, ge=0, le=1, description="of a node's bytes that are in records"
    )
    retransmit_ratio: float = Field(
        default=Limits().retransmit_ratio, ge=0, le=1, description="above the window before the step"
    )
    failure_ratio: float = Field(
        default=Limits().failure_ratio, ge=0, le=1, description="of connections, above the window before"
    )
    least_events: int = Field(default=Limits().least_events, ge=1, description="fewer of them are no jump")


class RolloutRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    namespaces: list[str] = Field(min_length=1)
    to: Literal["audit", "enforce"] = "enforce"
    direction: Literal["ingress", "egress"] | None = Field(None, description="null: both")
    budget: str = Field("10%", description="nodes a step may take: a count or a percentage")
    stages: list[RolloutStage] = Field(default_factory=list, description="take the place of the budget")
    hold_s: float = Field(300, ge=0, le=WEEK_S, description="how long each step is watched before the next")
    lookback_s: float = Field(86_400, gt=0, le=WEEK_S, description="how far back a flow may have been seen")
    patience_s: float = Field(60, gt=0, le=WEEK_S, description="that a node may be late, or silent")
    limits: RolloutLimits = RolloutLimits()


class RolloutStep(BaseModel):
    name: str
    mode: Mode
    namespaces: list[str]
    nodes: list[str] | None
    state: Literal["waiting", "applied", "current"]


class RolloutFlow(BaseModel):
    """Connections that a step denies, or would. `missing`: policies that allow them, as YAML; "" where none can."""

    src: str
    dst: str
    protocol: str
    dst_port: int
    reason: str
    denied_packets: int
    would_deny_packets: int
    connections: int
    cells: list[tuple[str, str]] = Field(description="(namespace, node) of the pods that decided so")
    seen_connections: int = Field(description="established in the lookback before the step; 0: nobody had seen it")
    last_seen_ns: int | None
    missing: str


class RolloutFinding(BaseModel):
    gate: Literal["flows", "readiness", "tcp", "coverage", "realised"]
    text: str
    cells: list[tuple[str, str]]
    enforced: bool
    flow: RolloutFlow | None


class RolloutStop(BaseModel):
    at_ns: int
    step: str
    rolled_back: list[str]
    findings: list[RolloutFinding]


class RolloutEvent(BaseModel):
    at_ns: int
    text: str


class RolloutCell(BaseModel):
    """What is asked for one namespace on one node, and whether it is in force (null: nobody looked yet)."""

    namespace: str
    node: str
    ingress: Mode
    egress: Mode
    in_force: bool | None
    why_not: str | None = None


class Rollout(BaseModel):
    """A rollout as it stands. `step` counts from 1; 0: none is in force."""

    id: str
    status: Literal["running", "paused", "stopped", "done", "aborted"]
    started_ns: int
    namespaces: list[str]
    to: Mode
    step: int
    step_ns: int = Field(description="since when it is asked for")
    realised_ns: int | None = Field(description="since when it is in force on each of its nodes")
    watched_s: float | None = Field(description="how long it was watched since, without gaps; null: not in force yet")
    hold_s: float
    steps: list[RolloutStep]
    cells: list[RolloutCell]
    stops: list[RolloutStop]
    not_seen_before: list[RolloutFlow] = Field(
        description="denied since the step, or would be, and never seen: no reason to stop"
    )
    events: list[RolloutEvent]
    trouble: str | None = Field(description="why nobody can look at present; nothing moves then")


class CurrentRollout(BaseModel):
    rollout: Rollout | None = Field(description="null: there never was one")


def request_of(given: RolloutRequest) -> Request:
    """The typed request; its own checks come with `machine.begin`."""
    return Request(
        tuple(dict.fromkeys(given.namespaces)),
        PlanMode(given.to),
        BOTH if given.direction is None else (Direction(given.direction),),
        given.budget,
        tuple(Stage(s.name, _names(s.nodes), _names(s.namespaces)) for s in given.stages),
        int(given.hold_s * SECOND),
        int(given.lookback_s * SECOND),
        int(given.patience_s * SECOND),
        Limits(**given.limits.model_dump()),
    )


def _names(given: list[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(given)


def rollout(view: View, nodes: list[str]) -> Rollout:
    """The answer for a rollout, with its namespaces on every node of the cluster."""
    state, seen = view.state, view.seen
    return Rollout(
        id=state.id,
        status=state.status.value,
        started_ns=state.started_ns,
        namespaces=list(state.request.namespaces),
        to=state.request.to.value,
        step=state.applied,
        step_ns=state.step_ns,
        realised_ns=state.realised_ns,
        watched_s=None if state.realised_ns is None or seen is None else seen.watched_ns / SECOND,
        hold_s=state.request.hold_ns / SECOND,
        steps=_steps(state),
        cells=_cells(state, seen, view.settings, nodes),
        stops=[
            RolloutStop(at_ns=s.at_ns, step=s.step, rolled_back=list(s.rolled_back), findings=list(map(_finding, s.findings)))
            for s in state.stops
        ],
        not_seen_before=[_flow(f) for f in (seen.flows if seen else ()) if not f.seen_connections],
        events=[RolloutEvent(at_ns=e.at_ns, text=e.text) for e in state.events],
        trouble=view.trouble,
    )  # fmt: skip


def _steps(state: State) -> list[RolloutStep]:
    def at(index: int) -> Literal["waiting", "applied", "current"]:
        return "waiting" if index >= state.applied else "current" if index == state.applied - 1 else "applied"

    return [
        RolloutStep(
            name=s.name,
            mode=s.mode.value,
            namespaces=list(s.namespaces),
            nodes=None if s.nodes is None else list(s.nodes),
            state=at(i),
        )
        for i, s in enumerate(state.steps)
    ]


def _cells(state: State, seen: Observation | None, settings: Snapshot, nodes: list[str]) -> list[RolloutCell]:
    late = dict(seen.unrealised) if seen else {}
    return [
        RolloutCell(
            namespace=namespace,
            node=node,
            ingress=settings.mode(namespace, Direction.INGRESS, node).value,
            egress=settings.mode(namespace, Direction.EGRESS, node).value,
            in_force=None if seen is None else node not in late,
            why_not=late.get(node),
        )
        for namespace in state.request.namespaces
        for node in nodes
    ]


def _finding(found: Finding) -> RolloutFinding:
    return RolloutFinding(
        gate=found.gate.value,
        text=found.text,
        cells=list(found.cells),
        enforced=found.enforced,
        flow=None if found.flow is None else _flow(found.flow),
    )


def _flow(flow: BrokenFlow) -> RolloutFlow:
    return RolloutFlow(
        src=flow.src,
        dst=flow.dst,
        protocol=protocol_name(flow.protocol),
        dst_port=flow.port,
        reason=flow.reason,
        denied_packets=flow.denied,
        would_deny_packets=flow.would_deny,
        connections=flow.connections,
        cells=list(flow.cells),
        seen_connections=flow.seen_connections,
        last_seen_ns=flow.last_seen_ns,
        missing=flow.missing,
    )
