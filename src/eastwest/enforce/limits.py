"""What one node's kernel tables can hold, checked when a plan is made: a plan that does not fit is refused whole.

Agents tell what a plan may need on their node (`Realised.limits`); until one did, the defaults count. The agent checks its
own maps again before it flips, and says so when a plan does not fit there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Final

from eastwest.model.plan import Limits, NodePlan

DEFAULT: Final = Limits()


class RefusedError(ValueError):
    """Policies that cannot be put in force; `policy` names the one to change, None when none stands out."""

    def __init__(self, message: str, policy: str | None = None) -> None:
        super().__init__(message)
        self.policy = policy


def check(plan: NodePlan, limits: Limits) -> None:
    """Raise RefusedError, naming table, figures and the policy that takes most of it, when the plan does not fit."""
    for field in fields(Limits):
        most, has = getattr(limits, field.name), _needed(plan, field.name)
        if has > most:
            policy, count = _largest(plan, field.name)
            share = f"; {policy} alone needs {count}: give it fewer or wider rules" if policy else ""
            raise RefusedError(
                f"node {plan.node}: {has} {field.name} are needed, {most} fit into its kernel's table{share}", policy
            )


def _needed(plan: NodePlan, table: str) -> int:
    return sum(len(p.addresses) for p in plan.pods) if table == "addresses" else len(getattr(plan, table))


def _largest(plan: NodePlan, table: str) -> tuple[str | None, int]:
    """The policy with most entries: in `ports` by what its rules take, in `cells` by their number."""
    counts: Mapping[str | None, int]
    if table == "ports":
        counts = _count(plan, plan.ports["reason"].tolist())
    elif table == "cells":
        counts = _count(plan, range(len(plan.reasons)))
    else:
        return None, 0
    named = Counter({p: n for p, n in counts.items() if p is not None})
    return named.most_common(1)[0] if named else (None, 0)


def _count(plan: NodePlan, reasons: Iterable[int]) -> Counter[str | None]:
    return Counter(plan.reasons[i].policy for i in reasons)
