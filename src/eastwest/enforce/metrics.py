"""Enforcement on the server's metrics page: what each node has in force, what waits, how compiling goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eastwest.enforce.planner import Planner
from eastwest.enforce.realised import Register, waiting
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
_TROUBLE: Final = Family(
    "eastwest_enforcement_refused",
    Kind.GAUGE,
    "1 while the newest policies cannot be compiled and the last plans stay.",
)
_COMPILATIONS: Final = Family("eastwest_enforcement_compilations", Kind.COUNTER, "Compilations of all policies.")
_REFUSALS: Final = Family("eastwest_enforcement_refusals", Kind.COUNTER, "Compilations that were refused.")
_PLANS: Final = Family("eastwest_enforcement_plans", Kind.COUNTER, "Plans that differed from the node's last one.")
_SECONDS: Final = Family("eastwest_enforcement_compile_seconds", Kind.COUNTER, "Time spent compiling.", "seconds")


def families(planner: Planner, register: Register) -> Callable[[Exposition], None]:
    """Adds the families to one answer."""

    def write(out: Exposition) -> None:
        planned = planner.planned
        plans = {} if planned is None else planned.plans
        nodes = sorted(plans)
        told = [n for n in nodes if register.told(n) is not None]
        out.write(_PLANNED, _labels(nodes), [plans[n].version for n in nodes])
        out.write(_REALISED, _labels(told), [register.version(plans[n]) for n in told])
        words = [register.told(n) for n in told]
        out.write(_GENERATION, _labels(told), [w.realised.generation for w in words if w is not None])
        if planned is not None:
            waits = [len({pod.uid for pod, _, _ in waiting(planned, register, n)}) for n in nodes]
            out.write(_WAITING, _labels(nodes), waits)
        counts = planner.counts
        out.write(_TROUBLE, [""], [int(planner.trouble is not None)])
        out.write(_COMPILATIONS, [""], [counts.compilations])
        out.write(_REFUSALS, [""], [counts.refused])
        out.write(_PLANS, [""], [counts.plans])
        out.write(_SECONDS, [""], [counts.seconds])

    return write


def _labels(nodes: list[str]) -> list[str]:
    return [label_text(_NODE, (n,)) for n in nodes]
