"""Rollouts, as they are asked for and as they stand."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from eastwest.enforce.rollout.spec import Limits

Mode = Literal["off", "audit", "enforce"]
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
