"""What one node says is in force on it: the answer to a plan. Made by the agent, read by `enforce`; plain values."""

from __future__ import annotations

from dataclasses import dataclass

from eastwest.model.batch import HookStatus
from eastwest.model.plan import Limits


@dataclass(frozen=True, slots=True)
class RealisedPod:
    """A pod of the plan in force, by direction: None = the plan holds for its packets; else why not, in words."""

    uid: str
    ingress: str | None = None
    egress: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedPlan:
    """A newer plan that is not in force, because of what it needs; the one before stays."""

    version: int
    digest: str
    reason: str  # which table, how many entries it would need, how many there are


@dataclass(frozen=True, slots=True)
class Realised:
    """`version` 0 and `digest` "": no plan is in force. since_ns: when this plan came into force, wall time.

    generation: the kernel's, which also grows when pods come and go under one plan.
    capability: the hooks `policy-ingress` and `policy-egress`. limits: what a plan may need here; None: not told.
    """

    node: str
    version: int
    digest: str
    generation: int
    since_ns: int
    pods: tuple[RealisedPod, ...] = ()
    capability: tuple[HookStatus, ...] = ()
    refused: RefusedPlan | None = None
    limits: Limits | None = None
