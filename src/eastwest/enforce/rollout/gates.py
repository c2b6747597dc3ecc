"""The gates: what is seen of a step, as typed values, and small pure functions that find in it a reason to go back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from eastwest.enforce.rollout.spec import Request
from eastwest.model.flow import protocol_name


class Gate(StrEnum):
    """Which gate found something."""

    FLOWS = "flows"
    READINESS = "readiness"
    TCP = "tcp"
    COVERAGE = "coverage"
    REALISED = "realised"


Cell = tuple[str, str]
"""(namespace, node)."""


@dataclass(frozen=True, slots=True)
class BrokenFlow:
    """Connections between two ends that were denied since the step began (`denied`, packets), or would have been.

    seen_connections: how many of them were established in the lookback before the step; 0: nobody had seen this one.
    cells: where pods decided so. missing: policies that would allow it, ready to apply; "" where none can.
    """

    src: str
    dst: str
    protocol: int
    port: int
    reason: str
    denied: int
    would_deny: int
    connections: int
    cells: tuple[Cell, ...]
    seen_connections: int = 0
    last_seen_ns: int | None = None
    missing: str = ""

    def text(self) -> str:
        verb = "is denied" if self.denied else "would be denied"
        port = f" {self.port}" if self.port else ""
        packets = self.denied or self.would_deny
        seen = f"{self.seen_connections} connections were established before"
        return (
            f"{self.src} -> {self.dst} {protocol_name(self.protocol)}{port} {verb}: {packets} packets, by "
            f"{self.reason}; {seen}"
        )


@dataclass(frozen=True, slots=True)
class Unready:
    """A pod whose readiness probe fails; `new`: it began after the step and never was ready."""

    namespace: str
    pod: str
    node: str
    new: bool = False


@dataclass(frozen=True, slots=True)
class TcpHealth:
    """Of the connections of the rollout's pods that no policy denied, over one window. None: no hook tells."""

    segments: int = 0
    retransmits: int | None = None
    attempts: int | None = None
    failures: int | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """One node: how much of its bytes is in records since the step (None: there were none), when it was last heard."""

    node: str
    ratio: float | None
    heard_ns: int | None


@dataclass(frozen=True, slots=True)
class Observation:
    """What is seen of a rollout at one moment.

    watched_ns: for how long since the step was in force every one of its nodes was heard without a gap in between.
    unrealised: nodes on which the modes of this moment are not in force yet, and why.
    """

    at_ns: int
    watched_ns: int = 0
    unrealised: tuple[tuple[str, str], ...] = ()
    flows: tuple[BrokenFlow, ...] = ()
    unready: tuple[Unready, ...] = ()
    tcp_before: TcpHealth = TcpHealth()
    tcp_now: TcpHealth = TcpHealth()
    nodes: tuple[Watched, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason to go back. `cells`: where, nothing when nobody knows. `enforced`: traffic is being denied, not only judged."""

    gate: Gate
    text: str
    cells: tuple[Cell, ...] = ()
    enforced: bool = False
    flow: BrokenFlow | None = None


def flows(seen: Observation, request: Request, step_ns: int) -> list[Finding]:
    """Denied, or would be, although it was seen allowed before the step. What nobody had seen is no reason."""
    del request, step_ns
    return [
        Finding(Gate.FLOWS, flow.text(), flow.cells, flow.denied > 0, flow)
        for flow in seen.flows
        if flow.seen_connections
    ]


def readiness(seen: Observation, request: Request, step_ns: int) -> list[Finding]:
    """Pods whose probes fail since the step."""
    del request, step_ns
    words = {False: "was ready before the step and is not now", True: "began after the step and does not become ready"}
    return [
        Finding(Gate.READINESS, f"pod {u.namespace}/{u.pod} on {u.node} {words[u.new]}", ((u.namespace, u.node),))
        for u in seen.unready
    ]


def tcp(seen: Observation, request: Request, step_ns: int) -> list[Finding]:
    """Retransmissions or failed connections that jumped against the window before the step."""
    del step_ns
    before, now, limits = seen.tcp_before, seen.tcp_now, request.limits
    rows = (
        ("retransmitted segments", before.retransmits, before.segments, now.retransmits, now.segments, limits.retransmit_ratio),
        ("failed connections", before.failures, before.attempts, now.failures, now.attempts, limits.failure_ratio),
    )  # fmt: skip
    out = []
    for what, count_before, of_before, count, of, margin in rows:
        was, is_ = _ratio(count_before, of_before), _ratio(count, of)
        if count is None or is_ is None or count < limits.least_events:
            continue
        if is_ > (was or 0.0) + margin:
            was_text = "unknown" if was is None else f"{was:.1%}"
            out.append(Finding(Gate.TCP, f"{what}: {count} ({is_:.1%}) since the step, {was_text} before it"))
    return out


def _ratio(count: int | None, of: int | None) -> float | None:
    return None if count is None or not of else count / of


def coverage(seen: Observation, request: Request, step_ns: int) -> list[Finding]:
    """Nodes of which too little is known to say that nothing broke."""
    out = []
    for node in seen.nodes:
        if node.ratio is not None and node.ratio < request.limits.coverage_ratio:
            share = f"{node.ratio:.1%} of its bytes are in records, {request.limits.coverage_ratio:.1%} are wanted"
            out.append(Finding(Gate.COVERAGE, f"node {node.node}: {share}"))
        silent_ns = seen.at_ns - max(node.heard_ns or 0, step_ns)
        if silent_ns > request.patience_ns:
            out.append(Finding(Gate.COVERAGE, f"node {node.node}: its agent was not heard for {silent_ns / 1e9:.0f} s"))
    return out


def realised(seen: Observation, request: Request, step_ns: int) -> list[Finding]:
    """Nodes that do not put the step in force in time."""
    late_ns = seen.at_ns - step_ns
    if late_ns <= request.patience_ns:
        return []
    return [
        Finding(Gate.REALISED, f"node {node}: not in force after {late_ns / 1e9:.0f} s: {why}")
        for node, why in seen.unrealised
    ]


GATES: Final[tuple[Callable[[Observation, Request, int], list[Finding]], ...]] = (
    flows,
    readiness,
    tcp,
    coverage,
    realised,
)


def judge(seen: Observation, request: Request, step_ns: int) -> list[Finding]:
    """What all gates find; `step_ns`: since when the step is wanted."""
    return [finding for gate in GATES for finding in gate(seen, request, step_ns)]
