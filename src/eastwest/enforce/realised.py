"""What agents say is in force, per node, beside what was planned for them. Knows no HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from eastwest.enforce.planner import Planned, Planner
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode, NodePlan, PlanPod
from eastwest.model.realised import Realised, RealisedPod


@dataclass(frozen=True, slots=True)
class Told:
    """A node's word and when it came, by the server's clock."""

    realised: Realised
    at_ns: int
    pods: Mapping[str, RealisedPod]  # by UID


class Register:
    """The last word of every node. `_lock` guards it."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, Told] = {}

    def tell(self, realised: Realised) -> None:
        with self._lock:
            self._told[realised.node] = Told(realised, self._clock(), {p.uid: p for p in realised.pods})

    def told(self, node: str) -> Told | None:
        with self._lock:
            return self._told.get(node)

    def version(self, plan: NodePlan) -> int:
        """The version in force on the plan's node; the plan's own where the content is the same. 0 = none is known."""
        told = self.told(plan.node)
        if told is None:
            return 0
        return plan.version if told.realised.digest == plan.digest else told.realised.version

    def node_waits(self, plan: NodePlan) -> str | None:
        """Why the plan is not in force on its node, None when it is."""
        told = self.told(plan.node)
        if told is None:
            return "its agent has not told of any plan"
        realised = told.realised
        if realised.digest == plan.digest:
            return None
        refused = realised.refused
        if refused is not None and refused.digest == plan.digest:
            return f"plan {plan.version} was refused there: {refused.reason}"
        return f"plan {plan.version} is not in force there yet; it has " + (
            f"plan {realised.version}" if realised.version else "none"
        )

    def pod_waits(self, plan: NodePlan, pod: PlanPod, direction: Direction, since: int) -> str | None:
        """Why a pod's side does not follow a plan of version `since` or newer; None when it does, or is off."""
        side = pod.ingress if direction is Direction.INGRESS else pod.egress
        if side.mode is Mode.OFF:
            return None
        told = self.told(plan.node)
        if told is None or self.version(plan) < since:
            return self.node_waits(plan)
        found = told.pods.get(pod.uid)
        if found is None:
            return "its agent does not know the pod yet"
        return found.ingress if direction is Direction.INGRESS else found.egress


class InForce:
    """What a rollout asks: whether the present settings are in force on a node."""

    def __init__(self, planner: Planner, register: Register) -> None:
        self._planner = planner
        self._register = register

    def unrealised(self, node: str) -> str | None:
        """None when the newest plan of the present settings is in force on the node; else why not, in words."""
        planned, trouble = self._planner.planned, self._planner.trouble
        if planned is None or planned.snapshot.revision != self._planner.settings.snapshot().revision:
            return trouble.message if trouble is not None else "the settings are not compiled yet"
        if node in planned.frozen:
            return f"the node keeps its last plan: {planned.frozen[node]}"
        plan = planned.plans.get(node)
        if plan is None:
            return "the cluster has no such node"
        return self._register.node_waits(plan) or next(
            (why for _, _, why in waiting(planned, self._register, node)), None
        )


def waiting(planned: Planned, register: Register, node: str) -> Iterator[tuple[PlanPod, Direction, str]]:
    """The sides of a node's pods that do not follow its newest plan, each with the reason."""
    plan = planned.plans[node]
    for pod in plan.pods:
        for direction in Direction:
            why = register.pod_waits(plan, pod, direction, plan.version)
            if why is not None:
                yield pod, direction, why
