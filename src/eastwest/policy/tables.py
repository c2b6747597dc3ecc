"""Rule tables: what is in force for one pod in one direction, tier by tier. Pods under the same policies share one.

Order inside a table is the order of evaluation; NetworkPolicies, which have none, are kept in the order of their names
so that the same objects in any order give the same reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from eastwest.policy.decision import Tier
from eastwest.policy.rules import DirectedPolicy, Rule


@dataclass(frozen=True, slots=True, eq=False)
class RuleTable:
    """What decides for one direction of a pod.

    admin, baseline: ordered, first match wins. isolated_by: the NetworkPolicies that isolate the pod, () = not isolated;
    `network_policy` holds their rules, any of which allows. Isolated pods never reach `baseline`, nor the posture.
    denied_by_posture: the scope whose default posture denies what nobody decides; None = allowed.
    """

    admin: tuple[Rule, ...] = ()
    isolated_by: tuple[str, ...] = ()
    network_policy: tuple[Rule, ...] = ()
    baseline: tuple[Rule, ...] = ()
    denied_by_posture: str | None = None
    where: tuple[str | None, int] = (None, 0)  # file and line of the first isolating policy

    @property
    def posture(self) -> str | None:
        """`denied_by_posture` where it can decide."""
        return None if self.isolated_by else self.denied_by_posture

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule that can decide, in order of evaluation."""
        return self.admin + self.network_policy + (() if self.isolated_by else self.baseline)


NO_RULES: Final = RuleTable()


def build_tables(
    policies: Iterable[DirectedPolicy], n_pods: int, postures: Sequence[str | None] | None = None
) -> tuple[list[RuleTable], NDArray[np.int32]]:
    """The distinct tables, the first of them empty, and the table of each pod, (n_pods,).

    `postures`: of each pod the scope whose default posture denies; None = the posture allows everywhere.
    """
    ordered = sorted(policies, key=lambda p: (p.priority, p.policy))
    subjects = np.zeros((len(ordered), n_pods), np.bool_)
    for i, policy in enumerate(ordered):
        subjects[i] = policy.subject
    scopes: Sequence[str | None] = postures if postures is not None else [None] * n_pods
    tables, ids = [NO_RULES], {(np.packbits(np.zeros(len(ordered), np.bool_)).tobytes(), cast("str | None", None)): 0}
    of_pod = np.zeros(n_pods, np.int32)
    signatures = np.packbits(subjects.T, axis=1)
    concerned = subjects.any(axis=0) | np.array([s is not None for s in scopes], np.bool_)
    for pod in np.flatnonzero(concerned).tolist():
        key = signatures[pod].tobytes(), scopes[pod]
        if key not in ids:
            ids[key] = len(tables)
            tables.append(_table([ordered[i] for i in np.flatnonzero(subjects[:, pod])], scopes[pod]))
        of_pod[pod] = ids[key]
    return tables, of_pod


def _table(policies: Sequence[DirectedPolicy], posture: str | None) -> RuleTable:
    isolating = [p for p in policies if p.tier is Tier.NETWORK_POLICY]
    where = (isolating[0].file, isolating[0].line) if isolating else (None, 0)
    return RuleTable(
        _rules(policies, Tier.ADMIN),
        tuple(p.policy for p in isolating),
        _rules(isolating, Tier.NETWORK_POLICY),
        _rules(policies, Tier.BASELINE),
        posture,
        where,
    )


def _rules(policies: Sequence[DirectedPolicy], tier: Tier) -> tuple[Rule, ...]:
    return tuple(rule for p in policies if p.tier is tier for rule in p.rules)
