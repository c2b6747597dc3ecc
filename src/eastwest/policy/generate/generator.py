"""Least-privilege NetworkPolicies from what was seen: one per workload and one default deny per namespace.

Pure and deterministic: the same evidence in any order gives the same policies. Only established connections are
evidence; anything a policy permits beyond them carries a reason of the closed list. `traffic` says who used
what, `rules` makes rules of it, `selectors` says how to name a workload; this file puts them together
and decides what is refused. Called by `policy generate` and the console.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from eastwest.model.cluster import ClusterState
from eastwest.model.flow import Direction, Workload
from eastwest.model.policy import LabelSelector, NetworkPolicy
from eastwest.policy.evidence import Evidence, instant
from eastwest.policy.generate.report import Report, Watch, WorkloadReport
from eastwest.policy.generate.rules import GeneratedRule, RuleMaker
from eastwest.policy.generate.selectors import Group, Groups
from eastwest.policy.generate.traffic import LeftOut, Reader, Traffic
from eastwest.policy.verify.intent import Intent

DEFAULT_DENY: Final = "default-deny"
EVIDENCE: Final = "eastwest.dev/evidence"
WORKLOAD: Final = "eastwest.dev/workload"
NOT_OBSERVED: Final = "eastwest.dev/not-observed"
INCOMPLETE: Final = "eastwest.dev/incomplete"
"""What the record lacks that the policy was made from."""
_TYPES: Final = {Direction.INGRESS: "Ingress", Direction.EGRESS: "Egress"}
_EMPTY: Final[Watch] = Watch()


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """namespace: only this one, None = all. max_cidrs: per rule and family. accept_gaps: go on where coverage is
    incomplete."""

    namespace: str | None = None
    max_cidrs: int = 8
    accept_gaps: bool = False


@dataclass(frozen=True, slots=True)
class Generated:
    """policies by namespace: the default deny first, then by name. Empty when refused."""

    policies: Mapping[str, tuple[NetworkPolicy, ...]] = field(default_factory=dict)
    report: Report = field(default_factory=lambda: Report((), {}))

    @property
    def refused(self) -> bool:
        return bool(self.report.refused) and not self.policies


def generate(
    cluster: ClusterState,
    evidence: Evidence,
    watched: Mapping[Workload, Watch] | None = None,
    options: GenerateOptions = GenerateOptions(),
    declared: Iterable[Intent] = (),
) -> Generated:
    """Policies for every namespace with traffic. `cluster` holds every pod that lived in the window, `watched` how
    each workload was covered; a workload without an entry was covered completely. What `declared` says that workloads
    may reach is permitted although nobody was seen to, with the reason `declared`."""
    groups = Groups(cluster.pods)
    reader = Reader(cluster, evidence, groups)
    traffic = reader.read()
    for intent in declared:
        reader.declare(intent)
    maker = RuleMaker(cluster, options.max_cidrs)
    wanted = [g for g in groups.all() if options.namespace in (None, g.namespace)]
    active = {g.namespace for g in traffic.used}
    names = _names([g for g in wanted if g.namespace in active])
    policies: dict[str, list[NetworkPolicy]] = {}
    rules: dict[str, tuple[GeneratedRule, ...]] = {}
    workloads: list[WorkloadReport] = []
    for group in wanted:
        if group.namespace not in active:
            continue
        made = _rules(group, traffic, maker)
        quiet = tuple(d for d in Direction if not any(r.direction is d for r in made))
        missing = sorted({gap for w in group.workloads for gap in (watched or {}).get(w, _EMPTY).gaps})
        policy = _policy(group, names[group], made, quiet, missing) if made else None
        policies.setdefault(group.namespace, [])
        if policy is not None:
            policies[group.namespace].append(policy)
            rules[f"{policy.namespace}/{policy.name}"] = tuple(made)
        ran = {p.workload for p in cluster.pods if p.uid is not None}
        workloads += [
            WorkloadReport(
                w, f"{group.namespace}/{names[group]}" if policy else None, (watched or {}).get(w, _EMPTY), quiet,
                never_ran=bool(ran) and w not in ran,
            )
            for w in group.workloads
        ]  # fmt: skip
    report = Report(
        workloads=tuple(workloads),
        rules=rules,
        left_out=_left_out(traffic.left_out),
        indistinguishable=_indistinguishable(groups, options.namespace),
        own_node=traffic.own_node,
        skipped_namespaces=tuple(sorted({g.namespace for g in wanted} - active)),
        start_ns=evidence.start_ns,
        end_ns=evidence.end_ns,
        refused=() if options.accept_gaps else _refusals(workloads),
    )
    if report.refused:
        return Generated({}, report)
    whole = {
        ns: (_default_deny(ns, workloads, report), *sorted(found, key=lambda p: p.name))
        for ns, found in sorted(policies.items())
    }
    return Generated(whole, report)


def _rules(group: Group, traffic: Traffic, maker: RuleMaker) -> list[GeneratedRule]:
    used = traffic.used.get(group)
    return [] if used is None else [r for d in Direction for r in maker.rules(group, d, used[d])]


def _policy(
    group: Group, name: str, rules: list[GeneratedRule], quiet: tuple[Direction, ...], missing: list[str]
) -> NetworkPolicy:
    """Only the directions that were seen are isolated here; the others are left to the default deny, and named.
    `missing`: what the record lacks; whoever reviews the policy reads it there."""
    annotations = {WORKLOAD: str(group), EVIDENCE: "".join(f"{rule.line()}\n" for rule in rules)}
    if quiet:
        annotations[NOT_OBSERVED] = " and ".join(map(str, quiet))
    if missing:
        annotations[INCOMPLETE] = _lines(missing)
    return NetworkPolicy(
        namespace=group.namespace,
        name=name,
        pod_selector=group.selector,
        policy_types=tuple(_TYPES[d] for d in Direction if d not in quiet),
        ingress=tuple(r.rule for r in rules if r.direction is Direction.INGRESS),
        egress=tuple(r.rule for r in rules if r.direction is Direction.EGRESS),
        annotations=annotations,
    )


def _default_deny(namespace: str, workloads: list[WorkloadReport], report: Report) -> NetworkPolicy:
    quiet = [
        f"{w.workload.name}[{w.workload.kind}]: {' and '.join(map(str, w.not_observed))}"
        for w in workloads
        if w.workload.namespace == namespace and w.not_observed
    ]
    annotations = {EVIDENCE: f"traffic seen between {instant(report.start_ns)} and {instant(report.end_ns)}\n"}
    if quiet:
        annotations[NOT_OBSERVED] = _lines(quiet)
    missing = sorted({gap for w in workloads if w.workload.namespace == namespace for gap in w.watch.gaps})
    if missing:
        annotations[INCOMPLETE] = _lines(missing)
    return NetworkPolicy(namespace, DEFAULT_DENY, LabelSelector(), ("Ingress", "Egress"), annotations=annotations)


def _lines(texts: list[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


def _names(groups: list[Group]) -> dict[Group, str]:
    """A policy is called as its workload; where two would share a name, the kind is added."""
    taken: dict[tuple[str, str], int] = {}
    for group in groups:
        taken[group.namespace, group.name] = taken.get((group.namespace, group.name), 0) + 1
    return {
        g: g.name
        if taken[g.namespace, g.name] == 1 and g.name != DEFAULT_DENY
        else f"{g.name}-{g.workloads[0].kind.lower()}"
        for g in groups
    }


def _left_out(many: list[LeftOut]) -> tuple[LeftOut, ...]:
    """Summed over rows that read alike."""
    totals: dict[tuple[str, str, str, str, int], int] = {}
    for o in many:
        key = (o.reason, o.src, o.dst, o.protocol, o.port)
        totals[key] = totals.get(key, 0) + o.connections
    return tuple(LeftOut(*key, count) for key, count in sorted(totals.items()))


def _indistinguishable(groups: Groups, namespace: str | None) -> tuple[str, ...]:
    shared = [str(g) for g in groups.all() if len(g.workloads) > 1 and namespace in (None, g.namespace)]
    overlapping = [
        f"{group} also matches {', '.join(map(str, others))}"
        for group, others in groups.overlaps()
        if namespace in (None, group.namespace)
    ]
    return (*shared, *overlapping)


def _refusals(workloads: list[WorkloadReport]) -> tuple[str, ...]:
    return tuple(f"{w.workload}: {gap}" for w in workloads for gap in w.watch.gaps)
