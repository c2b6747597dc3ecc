"""A rollout as the models of the API, and a request for one as its own typed value."""

from __future__ import annotations

from typing import Literal

from eastwest.api.models.rollouts import (
    Rollout,
    RolloutCell,
    RolloutEvent,
    RolloutFinding,
    RolloutFlow,
    RolloutRequest,
    RolloutStep,
    RolloutStop,
)
from eastwest.enforce.modes import Snapshot
from eastwest.enforce.rollout.driver import View
from eastwest.enforce.rollout.gates import BrokenFlow, Finding, Observation
from eastwest.enforce.rollout.machine import State
from eastwest.enforce.rollout.spec import BOTH, Limits, Request, Stage
from eastwest.model.flow import Direction, protocol_name
from eastwest.model.plan import Mode

SECOND = 1_000_000_000


def request_of(given: RolloutRequest) -> Request:
    """The typed request; its own checks come with `machine.begin`."""
    return Request(
        tuple(dict.fromkeys(given.namespaces)),
        Mode(given.to),
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
