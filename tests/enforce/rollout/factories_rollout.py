"""Rollouts and what is seen of them, with only what a test is about."""

from __future__ import annotations

from typing import Any

from eastwest.enforce.modes import Snapshot
from eastwest.enforce.rollout.gates import BrokenFlow, Observation
from eastwest.enforce.rollout.machine import State, begin
from eastwest.enforce.rollout.modes import Modes
from eastwest.enforce.rollout.spec import Request
from eastwest.model.flow import Protocol

SECOND = 1_000_000_000
NODES = ("node-1", "node-2", "node-3")
HOLD = 10 * SECOND


def request(*namespaces: str, **changes: Any) -> Request:
    fixed = {"budget": "1", "hold_ns": HOLD, "lookback_ns": 3600 * SECOND, "patience_ns": 60 * SECOND}
    return Request(namespaces or ("shop",), **{**fixed, **changes})


def settings(modes: Modes) -> Snapshot:
    return Snapshot(modes=tuple(sorted(modes.items(), key=lambda item: item[0])))


def state(*namespaces: str, before: Modes | None = None, **changes: Any) -> State:
    return begin("r1", request(*namespaces, **changes), NODES, settings(before or {}), 0)


def seen(at_s: float, **changes: Any) -> Observation:
    return Observation(int(at_s * SECOND), **changes)


def held(at_s: float, **changes: Any) -> Observation:
    """The step is in force and was watched for as long as it is to be held."""
    return seen(at_s, watched_ns=HOLD, **changes)


def broken(*cells: tuple[str, str], enforced: bool = False, connections_before: int = 7) -> BrokenFlow:
    return BrokenFlow(
        "shop/ui[Deployment]",
        "shop/cart[Deployment]",
        Protocol.TCP,
        8080,
        "NetworkPolicy shop/cart ingress isolation",
        denied=4 if enforced else 0,
        would_deny=0 if enforced else 4,
        connections=2,
        cells=cells or (("shop", "node-1"),),
        seen_connections=connections_before,
    )
