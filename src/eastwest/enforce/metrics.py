"""Enforcement on the server's metrics page: what each node has in force, what waits, how compiling goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from eastwest.enforce.planner import Planner
from eastwest.enforce.realised import Register
from eastwest.enforce.status import NodeStatus, status
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text

_NODE: Final = ("node",)
_PLANNED: Final = Family(
    "eastwest_enforcement_plan_version", Kind.GAUGE, "Version of the node's newest plan.", labels=_NODE
)
_REALISED: Final = Family(
    "eastwest_enforcement_realised_version",
    Kind.GAUGE,
    "Version of the plan in force by the agent's word; absent until it told.",
    labels=_NODE,
)
_GENERATION: Final = Family(
    "eastwest_enforcement_realised_generation", Kind.GAUGE, "The kernel's policy generation by the agent's word.",
    labels=_NODE,
)  # fmt: skip
_WAITING: Final = Family(
    "eastwest_enforcement_pods_waiting",
    Kind.GAUGE,
    "Pods of the node that do not follow its newest plan.",
    labels=_NODE,
)
_POLICY_PODS: Final = Family(
    "eastwest_enforcement_policy_pods",
    Kind.GAUGE,
    "Pods that a policy selects: it is in_force there, waiting, or off (the mode of the pod's namespace).",
    labels=("policy_tier", "policy", "state"),
)
_TROUBLE: Final = Family(
    "eastwest_enforcement_refused",
    Kind.GAUGE,
    "1 while some policy, or all, cannot be put in force and what was before it stays.",
)
_HELD: Final = Family(
    "eastwest_enforcement_pods_held",
    Kind.GAUGE,
    "Pods that keep earlier policies because this one, or what it needs, cannot be put in force.",
    labels=("policy",),
)
_FROZEN: Final = Family(
    "eastwest_enforcement_nodes_held",
    Kind.GAUGE,
    "Nodes that keep their last plan as a whole, because nothing smaller could be held.",
)
_COMPILATIONS: Final = Family("eastwest_enforcement_compilations", Kind.COUNTER, "Compilations of all policies.")
_REFUSALS: Final = Family(
    "eastwest_enforcement_refusals", Kind.COUNTER, "Compilations after which something was refused or held."
)
_PLANS: Final = Family("eastwest_enforcement_plans", Kind.COUNTER, "Plans that differed from the node's last one.")
_SECONDS: Final = Family("eastwest_enforcement_compile_seconds", Kind.COUNTER, "Time spent compiling.", "seconds")


def families(planner: Planner, register: Register) -> Callable[[Exposition], None]:
    """Adds the families to one answer. The counters are those of this process: they begin now."""
    born = [time.time()]

    def write(out: Exposition) -> None:
        now = status(planner, register)
        told = [n for n in now.nodes if n.generation is not None]
        out.write(_PLANNED, _labels(now.nodes), [n.version for n in now.nodes])
        out.write(_REALISED, _labels(told), [n.realised_version for n in told])
        out.write(_GENERATION, _labels(told), [n.generation or 0 for n in told])
        out.write(_WAITING, _labels(now.nodes), [len({w.uid for w in n.missing}) for n in now.nodes])
        by_state = [
            ((p.tier, p.policy, state), pods)
            for p in now.policies
            for state, pods in (("in_force", p.in_force), ("waiting", p.pods - p.in_force), ("off", p.off))
        ]
        words = [label_text(_POLICY_PODS.labels, key) for key, _ in by_state]
        out.write(_POLICY_PODS, words, [pods for _, pods in by_state])
        out.write(_TROUBLE, [""], [int(now.trouble is not None)])
        counts = planner.counts
        held = dict[str, int]()
        for one in now.held_back:
            held[one.policy or ""] = held.get(one.policy or "", 0) + one.pods
        out.write(_HELD, [label_text(_HELD.labels, (p,)) for p in held], list(held.values()))
        out.write(_FROZEN, [""], [len({n for one in now.held_back for n in one.nodes})])
        out.write(_COMPILATIONS, [""], [counts.compilations], born)
        out.write(_REFUSALS, [""], [counts.refused], born)
        out.write(_PLANS, [""], [counts.plans], born)
        out.write(_SECONDS, [""], [counts.seconds], born)

    return write


def _labels(nodes: Iterable[NodeStatus]) -> list[str]:
    return [label_text(_NODE, (n.node,)) for n in nodes]
