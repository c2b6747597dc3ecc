"""Everything known of a cluster's policies in one window: what is in force, what traffic asks for, and between them.

Pure. Called by the server for the console; the command line has the same parts as commands of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from eastwest.model.cluster import ClusterState
from eastwest.model.flow import Direction, Workload
from eastwest.model.policy import NetworkPolicy
from eastwest.policy.connections import ConnectionEnd
from eastwest.policy.diff import Change, Difference, compare
from eastwest.policy.engine import Engine
from eastwest.policy.evidence import Evidence
from eastwest.policy.generate.generator import Generated, GenerateOptions, generate
from eastwest.policy.generate.report import Watch, WorkloadReport
from eastwest.policy.options import Options
from eastwest.policy.replay.replay import Judged, Replay, judge, summed

MOST_NAMED: Final = 6
Learning = Literal["ready", "partial", "gaps", "not-run"]


@dataclass(frozen=True, slots=True)
class PolicySet:
    """One set of policies over the whole cluster, and what it does to the window's traffic."""

    cluster: ClusterState
    judged: Judged
    replay: Replay


@dataclass(frozen=True, slots=True)
class Proposal:
    """`generated.policies` replace the NetworkPolicies of their namespaces; everything else stays in force."""

    generated: Generated
    gaps: tuple[str, ...]  # what `policy generate` refuses for without --accept-gaps
    current: PolicySet
    proposed: PolicySet
    differences: tuple[Difference, ...]


def propose(
    cluster: ClusterState,
    evidence: Evidence,
    watched: Mapping[Workload, Watch],
    namespace: str | None = None,
    options: Options | None = None,
) -> Proposal:
    """`cluster` holds the pods of the window and the policies in force at its end. Gaps are accepted, and named."""
    generated = generate(cluster, evidence, watched, GenerateOptions(namespace, accept_gaps=True))
    kept = [p for p in cluster.network_policies if p.namespace not in generated.policies]
    made = [p for policies in generated.policies.values() for p in policies]
    proposed = replace(cluster, network_policies=(*kept, *made))
    return Proposal(
        generated,
        tuple(f"{w.workload}: {gap}" for w in generated.report.workloads for gap in w.watch.gaps),
        _set(cluster, evidence, options),
        _set(proposed, evidence, options),
        tuple(compare(cluster, proposed, options)) if made else (),
    )


def _set(cluster: ClusterState, evidence: Evidence, options: Options | None) -> PolicySet:
    judged = judge(Engine(cluster, options), evidence)
    return PolicySet(cluster, judged, summed(judged))


def learning(report: WorkloadReport) -> tuple[Learning, str]:
    """How far a workload is known, as a word and as a sentence."""
    watch = report.watch
    if report.never_ran:
        return "not-run", "It did not run in this range, so what it needs is not known."
    if watch.gaps:
        return "gaps", f"Coverage is incomplete: {'; '.join(watch.gaps)}."
    if len(report.not_observed) == len(Direction):
        return "partial", "No traffic was seen; the default deny closes both directions."
    if report.not_observed:
        quiet = " and ".join(map(str, report.not_observed))
        return "partial", f"No {quiet} was seen; the default deny closes it."
    return "ready", "Both directions were seen, and nothing is missing from the record."


def selecting(cluster: ClusterState, workload: Workload) -> list[NetworkPolicy]:
    """The NetworkPolicies of `cluster` that select a pod of the workload."""
    labels = [p.labels for p in cluster.pods if p.workload == workload and not p.host_network]
    return [
        policy
        for policy in cluster.network_policies
        if policy.namespace == workload.namespace and any(policy.pod_selector.matches(found) for found in labels)
    ]


@dataclass(frozen=True, slots=True)
class WorkloadChange:
    """One line of a workload's semantic difference: the ends for which the same ports open or close."""

    change: Change
    direction: Direction
    peers: tuple[ConnectionEnd, ...]
    ports: str

    def sentence(self, workload: Workload) -> str:
        """`adds orders → orders-postgresql TCP 5432`; names with their namespace where it is another one."""
        inside = [_name(peer, workload.namespace) for peer in self.peers if isinstance(peer, Workload)]
        outside = [str(peer) for peer in self.peers if not isinstance(peer, Workload)]
        ends = " and ".join(filter(None, (_some(inside, "workloads"), _some(outside, "outside ranges"))))
        src, dst = (workload.name, ends) if self.direction is Direction.EGRESS else (ends, workload.name)
        return f"{'adds' if self.change == 'added' else 'removes'} {src} → {dst} {self.ports}"


def changes(differences: Iterable[Difference]) -> dict[Workload, list[WorkloadChange]]:
    """By workload, each difference at both of its ends; added before removed, then egress before ingress."""
    found: dict[Workload, dict[tuple[Change, Direction, str], list[ConnectionEnd]]] = {}
    for d in differences:
        for direction, own, peer in ((Direction.EGRESS, d.src, d.dst), (Direction.INGRESS, d.dst, d.src)):
            if isinstance(own, Workload):
                found.setdefault(own, {}).setdefault((d.change, direction, str(d.ports)), []).append(peer)
    return {
        workload: [WorkloadChange(*key[:2], tuple(peers), key[2]) for key, peers in sorted(lines.items())]
        for workload, lines in found.items()
    }


def _some(names: list[str], what: str) -> str:
    """Few by name, many by number."""
    return ", ".join(names) if len(names) <= MOST_NAMED else f"{len(names)} {what}"


def _name(end: Workload, namespace: str) -> str:
    return end.name if end.namespace == namespace else f"{end.namespace}/{end.name}"
