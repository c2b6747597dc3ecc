"""What is in force, for people: per node, namespace, policy and pod, with what waits and why. Values only; `api` shows
them, `cli` prints them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from eastwest.enforce.compile import uid
from eastwest.enforce.modes import EVERY_NAMESPACE, Setting, Snapshot
from eastwest.enforce.planner import Planned, Planner, Trouble
from eastwest.enforce.realised import Register, waiting
from eastwest.model.batch import HookStatus
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode, NodePlan, PlanPod

WAITS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """A side of a pod that does not follow the newest plan."""

    uid: str
    namespace: str
    name: str
    direction: Direction
    reason: str


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """`version` was planned, `realised_version` is in force by the agent's word (0 = none known). pods, waiting: sides that
    are not off. told_ns: when the agent last told; since_ns: since when its plan is in force."""

    node: str
    version: int
    realised_version: int
    generation: int | None
    since_ns: int | None
    told_ns: int | None
    pods: int
    sides: int
    missing: tuple[Waiting, ...]
    capability: tuple[HookStatus, ...]
    reason: str | None  # why the plan as a whole is not in force


@dataclass(frozen=True, slots=True)
class NamespaceStatus:
    """One direction. `nodes` have another mode than `mode` (a rollout). in_force: pods of `pods` that follow it; None
    where the mode is off everywhere."""

    namespace: str
    direction: Direction
    mode: Mode
    nodes: tuple[tuple[str, Mode], ...]
    pods: int
    in_force: int | None


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """pods: those that it selects and whose side is not off; off: selected ones whose side is off. held: those that it
    selects and that keep earlier policies. earlier: what is in force is not what the cluster has now, which may be nothing."""

    policy: str
    tier: str
    pods: int
    in_force: int
    off: int
    waiting: tuple[str, ...]  # nodes
    text: str
    held: int = 0
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class HeldBack:
    """What cannot be put in force. policy: the one to change; node: whose plan would not fit; pods: how many keep the
    policies of before; nodes: those that keep their last plan as a whole."""

    message: str
    scope: str
    policy: str | None
    node: str | None
    since_ns: int
    pods: int
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """inventory_ns: the newest change of the cluster that every `nodes[].version` takes into account; revision: that of the
    settings which they do (`snapshot` holds the present ones)."""

    inventory_ns: int
    revision: int
    compiled_ns: int | None
    compile_seconds: float | None
    trouble: Trouble | None
    snapshot: Snapshot
    nodes: tuple[NodeStatus, ...]
    namespaces: tuple[NamespaceStatus, ...]
    policies: tuple[PolicyStatus, ...]
    held_back: tuple[HeldBack, ...] = ()


def status(planner: Planner, register: Register) -> Status:
    """Everything at this moment."""
    snapshot, planned = planner.settings.snapshot(), planner.planned
    if planned is None:
        return Status(0, 0, None, None, planner.trouble, snapshot, (), (), ())
    missing = {n: list(waiting(planned, register, n)) for n in planned.plans}
    return Status(
        planned.inventory_ns,
        planned.snapshot.revision,
        planned.at_ns,
        planned.seconds,
        planner.trouble,
        snapshot,
        (
            *(_node(plan, register, missing[n], planned.frozen.get(n)) for n, plan in planned.plans.items()),
            *(_without_plan(n, register, why) for n, why in planned.frozen.items() if n not in planned.plans),
        ),
        tuple(_namespaces(planned, snapshot, missing)),
        tuple(_policies(planned, register)),
        tuple(
            HeldBack(
                hold.message,
                hold.scope,
                hold.policy,
                hold.node,
                hold.since_ns,
                pods,
                tuple(n for n, why in planned.frozen.items() if why == hold.message),
            )
            for hold, pods in planned.holds
        ),
    )


def _without_plan(node: str, register: Register, why: str) -> NodeStatus:
    """A node that keeps what its agent has, of which this server knows no plan."""
    told = register.told(node)
    realised = told.realised if told else None
    return NodeStatus(
        node,
        0,
        realised.version if realised else 0,
        realised.generation if realised else None,
        realised.since_ns if realised and realised.version else None,
        told.at_ns if told else None,
        0,
        0,
        (),
        realised.capability if realised else (),
        f"the node keeps its last plan: {why}",
    )


def _node(
    plan: NodePlan, register: Register, missing: list[tuple[PlanPod, Direction, str]], frozen: str | None
) -> NodeStatus:
    told = register.told(plan.node)
    sides = [s for p in plan.pods for s in (p.egress, p.ingress) if s.mode is not Mode.OFF]
    return NodeStatus(
        plan.node,
        plan.version,
        register.version(plan),
        told.realised.generation if told else None,
        told.realised.since_ns if told and told.realised.version else None,
        told.at_ns if told else None,
        len(plan.pods),
        len(sides),
        tuple(Waiting(p.uid, p.namespace, p.name, d, why) for p, d, why in missing),
        told.realised.capability if told else (),
        f"the node keeps its last plan: {frozen}" if frozen is not None else register.node_waits(plan),
    )


def _namespaces(
    planned: Planned, snapshot: Snapshot, missing: dict[str, list[tuple[PlanPod, Direction, str]]]
) -> Iterable[NamespaceStatus]:
    """Of every namespace that has pods or a setting, both directions."""
    pods: dict[str, list[PlanPod]] = {}
    for plan in planned.plans.values():
        for pod in plan.pods:
            pods.setdefault(pod.namespace, []).append(pod)
    waits = {(p.uid, d) for rows in missing.values() for p, d, _ in rows}
    for namespace in sorted({*pods, *snapshot.namespaces()} - {EVERY_NAMESPACE}):
        for direction in Direction:
            setting = snapshot.setting(namespace, direction)
            mine = pods.get(namespace, [])
            active = [p for p in mine if _mode(p, direction) is not Mode.OFF]
            done = sum((p.uid, direction) not in waits for p in active)
            yield NamespaceStatus(
                namespace, direction, setting.mode, setting.nodes, len(mine), done if _on(setting) else None
            )


def _on(setting: Setting) -> bool:
    return setting.mode is not Mode.OFF or any(mode is not Mode.OFF for _, mode in setting.nodes)


def _mode(pod: PlanPod, direction: Direction) -> Mode:
    return (pod.ingress if direction is Direction.INGRESS else pod.egress).mode


def _policies(planned: Planned, register: Register) -> Iterable[PolicyStatus]:
    """One entry per policy, both directions together: a pod counts once, and only when all its sides follow."""
    engine = planned.engine
    where = {p.uid: (node, p) for node, plan in planned.plans.items() for p in plan.pods}
    by_name: dict[tuple[str, str], list[int]] = {}
    for at, policy in enumerate(engine.policies):
        by_name.setdefault((policy.policy, str(policy.tier)), []).append(at)
    refused = {hold.refused.name for hold, _ in planned.holds if hold.refused is not None}
    for (name, tier), members in sorted(by_name.items()):
        now = [at for at in members if name not in refused and not engine.policies[at].earlier]
        sides: dict[str, list[Direction]] = {}
        held = np.zeros(len(engine.universe.pods), np.bool_)
        for at in now or members:
            policy = engine.policies[at]
            for pod in np.flatnonzero(policy.subject).tolist():
                sides.setdefault(uid(engine, pod), []).append(policy.direction)
            if now and policy.withheld is not None:
                held |= policy.withheld
        known = {u: d for u, d in sides.items() if u in where}
        yield _policy(planned, register, name, tier, known, where, int(held.sum()), earlier=not now)


def _policy(
    planned: Planned,
    register: Register,
    name: str,
    tier: str,
    sides: dict[str, list[Direction]],
    where: dict[str, tuple[str, PlanPod]],
    held: int,
    *,
    earlier: bool,
) -> PolicyStatus:
    since = planned.policy_since.get(name, {})
    done, off, nodes = 0, 0, dict[str, int]()
    for pod_uid, directions in sides.items():
        node, pod = where[pod_uid]
        active = [d for d in directions if _mode(pod, d) is not Mode.OFF]
        plan = planned.plans[node]
        if not active:
            off += 1
        elif node in planned.frozen or any(
            register.pod_waits(plan, pod, d, since.get(node, plan.version)) for d in active
        ):
            nodes[node] = nodes.get(node, 0) + 1
        else:
            done += 1
    total = done + sum(nodes.values())
    text = _text(total, done, off, sorted(nodes)) if total or not held else "not in force"
    text = f"an earlier state of it is {text}" if earlier else text
    if held:
        text += f"; {held} pods keep earlier policies"
    return PolicyStatus(name, tier, total, done, off, tuple(sorted(nodes)), text, held, earlier)


def _text(total: int, done: int, off: int, nodes: list[str]) -> str:
    if not total:
        return "not in force: the mode of its pods is off" if off else "selects no pod"
    more = f" and {len(nodes) - WAITS_SHOWN} more" if len(nodes) > WAITS_SHOWN else ""
    waits = f"; waiting for {', '.join(nodes[:WAITS_SHOWN])}{more}" if nodes else ""
    return f"in force on {done} of {total} pods{waits}" + (f" ({off} more are off)" if off else "")
