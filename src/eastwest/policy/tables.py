"""Rule tables: what is in force for one pod in one direction, tier by tier. Pods under the same policies share one.

Order inside a table is the order of evaluation; NetworkPolicies, which have none, are kept in the order of their names
so that the same objects in any order give the same reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eastwest.policy.decision import Tier
from eastwest.policy.rules import DirectedPolicy, Rule


@dataclass(frozen=True, slots=True, eq=False)
class RuleTable:
    """What decides for one direction of a pod.

    admin, baseline: ordered, first match wins. isolated_by: the NetworkPolicies that isolate the pod, () = not isolated;
    `network_policy` holds their rules, any of which allows. Isolated pods never reach `baseline`.
    """

    admin: tuple[Rule, ...] = ()
    isolated_by: tuple[str, ...] = ()
    network_policy: tuple[Rule, ...] = ()
    baseline: tuple[Rule, ...] = ()
    where: tuple[str | None, int] = (None, 0)  # file and line of the first isolating policy

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule that can decide, in order of evaluation."""
        return self.admin + self.network_policy + (() if self.isolated_by else self.baseline)


NO_RULES: Final = RuleTable()


def build_tables(policies: Iterable[DirectedPolicy], n_pods: int) -> tuple[list[RuleTable], NDArray[np.int32]]:
    """The distinct tables, the first of them empty, and the table of each pod, (n_pods,)."""
    ordered = sorted(policies, key=lambda p: (p.priority, p.policy))
    subjects = np.zeros((len(ordered), n_pods), np.bool_)
    for i, policy in enumerate(ordered):
        subjects[i] = policy.subject
    tables, ids = [NO_RULES], {np.packbits(np.zeros(len(ordered), np.bool_)).tobytes(): 0}
    of_pod = np.zeros(n_pods, np.int32)
    signatures = np.packbits(subjects.T, axis=1)
    for pod in np.flatnonzero(subjects.any(axis=0)) if ordered else ():
        key = signatures[pod].tobytes()
        if key not in ids:
            ids[key] = len(tables)
            tables.append(_table([ordered[i] for i in np.flatnonzero(subjects[:, pod])]))
        of_pod[pod] = ids[key]
    return tables, of_pod


def _table(policies: Sequence[DirectedPolicy]) -> RuleTable:
    isolating = [p for p in policies if p.tier is Tier.NETWORK_POLICY]
    where = (isolating[0].file, isolating[0].line) if isolating else (None, 0)
    return RuleTable(
        _rules(policies, Tier.ADMIN),
        tuple(p.policy for p in isolating),
        _rules(isolating, Tier.NETWORK_POLICY),
        _rules(policies, Tier.BASELINE),
        where,
    )


def _rules(policies: Sequence[DirectedPolicy], tier: Tier) -> tuple[Rule, ...]:
    return tuple(rule for p in policies if p.tier is tier for rule in p.rules)
