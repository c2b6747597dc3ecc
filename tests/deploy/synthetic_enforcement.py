"""A small cluster under enforcement with a rollout, through the real planner, register and machine: quiet or in trouble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from eastwest.agent.metrics.node import PolicyHealth
from eastwest.enforce.metrics import families
from eastwest.enforce.planner import Planner
from eastwest.enforce.realised import Register
from eastwest.enforce.rollout import machine
from eastwest.enforce.rollout.driver import View
from eastwest.enforce.rollout.metrics import families as rollout_families
from eastwest.enforce.settings import EnforcementSettings
from eastwest.enforce.versions import Versions
from eastwest.model.plan import Mode
from eastwest.model.realised import Realised, RealisedPod
from eastwest.runtime.openmetrics import Exposition
from enforce.factories_cluster import Edited, policy, shop
from enforce.rollout.factories_rollout import broken, held, seen, state

BAD = policy("web", "web", ("api", 99999))


def server_families(folder: Path, *, loud: bool) -> list[Callable[[Exposition], None]]:
    """What the server publishes. loud: node-b waits for its newest plan, a policy cannot be compiled, a gate stopped."""
    edited = Edited(*shop(), policy("db", "db", ("api", 5432)))
    planner = Planner(edited.inventory, EnforcementSettings(folder), Versions(folder), clock=lambda: edited.now_ns)
    planner.settings.set("shop", Mode.ENFORCE)
    planner.compile()
    register = Register(lambda: 0)
    assert planner.planned is not None
    for plan in planner.planned.plans.values():
        register.tell(
            Realised(plan.node, plan.version, plan.digest, 2, 7, tuple(RealisedPod(p.uid) for p in plan.pods))
        )
    going = machine.advance(state(), held(1))
    if loud:
        edited.put(policy("db", "db", ("web", 5432)))
        planner.compile()
        edited.put(BAD)
        planner.compile()
        assert planner.trouble is not None
        going = machine.advance(going, seen(2, flows=(broken(),)))
        assert going.status is machine.Status.STOPPED
    view = View(going, planner.settings.snapshot(), None, None)
    return [families(planner, register), rollout_families(lambda: view)]


def agent_health(*, loud: bool) -> PolicyHealth:
    """What an agent tells of one window."""
    quiet = PolicyHealth(
        generation=2, version=7, waiting={"ingress": 0, "egress": 0}, refused=False, answers={"current": 1}, log_left_out=0,
        apply_seconds=(0.004, 0.03), packets={("NetworkPolicy shop/db", "allowed"): 40},
    )  # fmt: skip
    if not loud:
        return quiet
    denied = {("NetworkPolicy shop/db", "denied"): 5, ("NetworkPolicy shop/db", "would_deny"): 2}
    return replace(quiet, refused=True, waiting={"ingress": 1, "egress": 0}, packets={**quiet.packets, **denied})
