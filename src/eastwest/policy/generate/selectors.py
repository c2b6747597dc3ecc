"""A selector for every workload that no other workload's pods match, as short as is safe.

The owner's own selector is the start, because it is what people know and it cannot change. Labels of the pods are added,
and negations at last, only where other workloads present would match; labels that never tell workloads apart are
dropped. Workloads that no label can tell apart share one selector, and are reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from eastwest.model.cluster import GENERATED_LABELS, Pod
from eastwest.model.flow import Workload
from eastwest.model.policy import LabelSelector, Requirement

NOISE: Final = frozenset(
    {
        "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "app.kubernetes.io/part-of",
        "app.kubernetes.io/created-by", "app.kubernetes.io/owner", "helm.sh/chart", "chart", "heritage", "version",
    }
)  # fmt: skip
"""Labels that speak of packaging or releases: dropped while the rest stays unambiguous. `instance` and `component` are
never dropped: a second release or component may come tomorrow."""

LabelSet = Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Workloads of one namespace behind one selector: one, except where labels cannot tell them apart.

    Compared by identity: there is one object per group in a `Groups`.
    """

    namespace: str
    selector: LabelSelector
    workloads: tuple[Workload, ...]

    @property
    def name(self) -> str:
        return self.workloads[0].name

    def __str__(self) -> str:
        return " + ".join(str(w) for w in self.workloads)


class Groups:
    """Every workload with pods of its own network, by its group. Host-network pods cannot be selected."""

    def __init__(self, pods: Iterable[Pod]) -> None:
        sets: defaultdict[str, defaultdict[Workload, dict[tuple[tuple[str, str], ...], LabelSet]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        selectors: dict[Workload, Mapping[str, str]] = {}
        for pod in pods:
            if pod.host_network:
                continue
            labels = {k: v for k, v in pod.labels.items() if k not in GENERATED_LABELS}
            sets[pod.namespace][pod.workload][tuple(sorted(labels.items()))] = labels
            if pod.selector:
                selectors[pod.workload] = pod.selector
        self.of: dict[Workload, Group] = {}
        self._label_sets: dict[str, dict[Workload, list[LabelSet]]] = {}
        for namespace, workloads in sorted(sets.items()):
            by_workload = {w: list(found.values()) for w, found in workloads.items()}
            self._label_sets[namespace] = by_workload
            same: defaultdict[LabelSelector, list[Workload]] = defaultdict(list)
            for workload in sorted(by_workload):
                same[_selector(workload, by_workload, selectors.get(workload))].append(workload)
            for selector, members in same.items():
                group = Group(namespace, selector, tuple(members))
                self.of.update(dict.fromkeys(members, group))

    def overlaps(self) -> list[tuple[Group, tuple[Workload, ...]]]:
        """Groups whose selector also matches pods of workloads outside the group: labels cannot tell them apart."""
        out = []
        for group in self.all():
            near = self._label_sets[group.namespace]
            hit = [w for w, sets in near.items() if w not in group.workloads and any(map(group.selector.matches, sets))]
            if hit:
                out.append((group, tuple(sorted(hit))))
        return out

    def all(self) -> list[Group]:
        """Every group once, by namespace and name."""
        return sorted(set(self.of.values()), key=lambda g: (g.namespace, g.workloads))


def _selector(
    workload: Workload, by_workload: Mapping[Workload, list[LabelSet]], own: LabelSet | None
) -> LabelSelector:
    mine = by_workload[workload]
    common = {k: v for k, v in mine[0].items() if all(labels.get(k) == v for labels in mine)}
    base = {k: v for k, v in (own or common).items() if k not in GENERATED_LABELS}
    if not base or any(common.get(k) != v for k, v in base.items()):
        base = common
    foreign = [labels for other, found in by_workload.items() if other != workload for labels in found]
    foreign = [labels for labels in foreign if _matches(base, labels)]
    chosen = dict(base)
    spare = {k: v for k, v in common.items() if k not in chosen}
    while foreign and spare:
        best = min(spare, key=lambda k: (sum(labels.get(k) == spare[k] for labels in foreign), k in NOISE, k))
        kept = [labels for labels in foreign if labels.get(best) == spare[best]]
        if len(kept) == len(foreign):
            break
        chosen[best] = spare.pop(best)
        foreign = kept
    expressions = _negations(mine, foreign)
    if any(LabelSelector(match_expressions=expressions).matches(labels) for labels in foreign):
        chosen = dict(common)  # nothing helps: let equal pods at least have equal selectors
    return LabelSelector(tuple(sorted(_shortened(chosen, workload, by_workload, expressions).items())), expressions)


def _matches(wanted: LabelSet, labels: LabelSet) -> bool:
    return all(labels.get(k) == v for k, v in wanted.items())


def _negations(mine: list[LabelSet], foreign: list[LabelSet]) -> tuple[Requirement, ...]:
    """Expressions that all of `mine` and as few as possible of `foreign` satisfy; only those that exclude someone."""
    out: list[Requirement] = []
    keys = sorted({k for labels in foreign for k in labels})
    for key in keys:
        present = any(key in labels for labels in mine)
        ours = {labels[key] for labels in mine if key in labels}
        if not present:
            requirement = Requirement(key, "DoesNotExist")
        else:
            values = tuple(sorted({labels[key] for labels in foreign if key in labels} - ours))
            requirement = Requirement(key, "NotIn", values)
        kept = [f for f in foreign if LabelSelector(match_expressions=(requirement,)).matches(f)]
        if len(kept) < len(foreign):
            out.append(requirement)
            foreign = kept
        if not foreign:
            break
    return tuple(out)


def _shortened(
    chosen: dict[str, str], workload: Workload, by_workload: Mapping[Workload, list[LabelSet]],
    expressions: tuple[Requirement, ...],
) -> dict[str, str]:  # fmt: skip
    """Without noise, as long as no other pod comes in and at least one label stays."""
    others = [labels for other, found in by_workload.items() if other != workload for labels in found]

    def reached(labels: dict[str, str]) -> int:
        selector = LabelSelector(tuple(labels.items()), expressions)
        return sum(selector.matches(other) for other in others)

    before = reached(chosen)
    for key in sorted(NOISE & chosen.keys()):
        shorter = {k: v for k, v in chosen.items() if k != key}
        if shorter and reached(shorter) == before:
            chosen = shorter
    return chosen
