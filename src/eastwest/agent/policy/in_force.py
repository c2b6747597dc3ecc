"""What the kernel's tables hold, and what of it is true for each pod, in the server's words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from eastwest.agent.policy import local
from eastwest.agent.policy.local import Bound
from eastwest.agent.policy.tables import Stance, Wanted
from eastwest.model.batch import HookStatus
from eastwest.model.plan import Limits, Mode, NodePlan
from eastwest.model.realised import Realised, RealisedPod, RefusedPlan

INGRESS: Final = "policy-ingress"
EGRESS: Final = "policy-egress"
"""Hooks of the capability report."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What the kernel's tables hold since `since_ns` (wall time)."""

    plan: NodePlan
    generation: int
    since_ns: int
    bound: tuple[Bound, ...]
    stance: Stance
    wanted: Wanted
    planned: frozenset[str]  # UIDs of the plan's pods

    def holds(self, ifindex: int, uid: str, *, planned: bool) -> bool:
        """Whether this pod's interface is decided about; `planned`: by its own rules, unless nothing is evaluated."""
        mine = next((b for b in self.bound if b.ifindex == ifindex and b.uid == uid), None)
        if mine is None:
            return False
        return not planned or uid in self.planned or not local.evaluated(self.plan, mine.namespace)


def refused_hooks(capability: Iterable[HookStatus]) -> dict[str, str]:
    """Directions that this kernel does not let us enforce, and why."""
    return {h.name: h.reason or h.state for h in capability if h.state != "on"}


def realised(
    node: str,
    force: InForce | None,
    refused: RefusedPlan | None,
    generation: int,
    capability: tuple[HookStatus, ...],
    limits: Limits,
) -> Realised:
    """`generation`: the kernel's, which a former process may have left, too."""
    if force is None:
        return Realised(node, 0, "", generation, 0, (), capability, refused, limits)
    here = {b.uid for b in force.bound}
    off = refused_hooks(capability)
    pods = tuple(
        RealisedPod(
            p.uid,
            _why_not(p.ingress.mode, p.uid in here, off.get(INGRESS)),
            _why_not(p.egress.mode, p.uid in here, off.get(EGRESS)),
        )
        for p in force.plan.pods
    )
    plan = force.plan
    return Realised(
        node, plan.version, plan.digest, force.generation, force.since_ns, pods, capability, refused, limits
    )


def limits_of(entries: Mapping[str, int]) -> Limits:
    """What one plan may need where the kernel's tables hold `entries`, by the name of the map: half, for the plan in force
    stands beside it. Some identities are kept free for the node's own addresses, which the agent adds."""
    own = min(256, entries["identities"] // 16)
    return Limits(
        pods=entries["policed"] // 2,
        addresses=entries["pod_addresses"] // 2,
        identities=entries["identities"] // 2 - own,
        cells=entries["cells"] // 2,
        ports=entries["ports"] // 2,
        ranges=entries["pod_ranges"] // 2,
    )


def _why_not(mode: Mode, here: bool, refused: str | None) -> str | None:
    if mode is Mode.OFF:
        return None
    return refused or (None if here else local.NO_INTERFACE)
