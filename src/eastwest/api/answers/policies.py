"""A policy proposal as the models of the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from eastwest.api.models.policies import (
    Policies,
    PolicyBeyond,
    PolicyChange,
    PolicyDenied,
    PolicyEdge,
    PolicyEffect,
    PolicyLeftOut,
    PolicyReplay,
    PolicyRule,
    PolicyText,
    PolicyUnused,
    WorkloadPolicy,
)
from eastwest.api.models.window import Window
from eastwest.k8s.write import policy_text
from eastwest.model.cluster import Pod
from eastwest.model.flow import EndKind, Workload
from eastwest.model.policy import NetworkPolicy
from eastwest.policy.effect import effects
from eastwest.policy.evidence import Outsider
from eastwest.policy.generate.generator import DEFAULT_DENY
from eastwest.policy.generate.report import WorkloadReport
from eastwest.policy.generate.rules import GeneratedRule
from eastwest.policy.proposal import PolicySet, Proposal, WorkloadChange, changes, learning, selecting
from eastwest.policy.replay.replay import Denied
from eastwest.query.servicemap import node_id
from eastwest.store.questions import Level

MOST_PEERS: Final = 50


def policies(proposal: Proposal, window: Window) -> Policies:
    """Everything of a proposal but the map."""
    report = proposal.generated.report
    made = {f"{p.namespace}/{p.name}": p for found in proposal.generated.policies.values() for p in found}
    changed = changes(proposal.differences)
    return Policies(
        window=window,
        workloads=[
            _workload(w, made, report.rules.get(w.policy or "", ()), proposal, changed.get(w.workload, []))
            for w in report.workloads
        ],
        default_deny=[_text(policy) for policy in made.values() if policy.name == DEFAULT_DENY],
        replay=_replay(proposal.proposed),
        gaps=list(proposal.gaps),
        beyond=dict(report.beyond()),
        left_out=[
            PolicyLeftOut(
                reason=o.reason, src=o.src, dst=o.dst, protocol=o.protocol, dst_port=o.port, connections=o.connections
            )
            for o in report.left_out
        ],
        indistinguishable=list(report.indistinguishable),
        skipped_namespaces=list(report.skipped_namespaces),
    )


def effect(proposal: Proposal, which: Literal["current", "generated"], level: Level, window: Window) -> PolicyEffect:
    """What one of the two sets does to every edge of the map."""
    chosen = proposal.current if which == "current" else proposal.proposed
    named = _pod_end if level == "pod" else _workload_end
    return PolicyEffect(
        window=window,
        set=which,
        level=level,
        policies=len(chosen.cluster.network_policies) + len(chosen.cluster.cluster_network_policies),
        edges=[
            PolicyEdge(
                source=source,
                target=target,
                protocol=protocol,
                dst_port=port,
                state=found.state,
                connections=found.connections,
                reason=found.reason,
                missing_rule=_texts(found.missing),
            )
            for (source, target, protocol, port), found in effects(chosen.judged, named).items()
        ],
        unused=_unused(chosen),
    )


def _workload(
    report: WorkloadReport,
    made: Mapping[str, NetworkPolicy],
    rules: Iterable[GeneratedRule],
    proposal: Proposal,
    changed: Iterable[WorkloadChange],
) -> WorkloadPolicy:
    state, text = learning(report)
    workload, watch = report.workload, report.watch
    own = made.get(report.policy or "")
    return WorkloadPolicy(
        namespace=workload.namespace,
        kind=workload.kind,
        name=workload.name,
        learning=state,
        learning_text=text,
        watched_seconds=round(watch.seconds, 3),
        pods=watch.pods,
        started=watch.started,
        gaps=list(watch.gaps),
        not_observed=[d.value for d in report.not_observed],
        generated=_text(own) if own else None,
        current=[_text(policy) for policy in selecting(proposal.current.cluster, workload)],
        changes=[_change(line, workload) for line in changed],
        rules=[_rule(rule) for rule in rules],
    )


def _rule(rule: GeneratedRule) -> PolicyRule:
    return PolicyRule(
        direction=rule.direction.value,
        peer=rule.peer,
        ports=[f"{protocol} {number}" for protocol, number in rule.ports],
        connections=rule.connections,
        first_seen_ns=rule.first_ns,
        last_seen_ns=rule.last_ns,
        beyond=[PolicyBeyond.model_validate({"reason": b.reason, "permission": b.permission}) for b in rule.beyond],
    )


def _change(line: WorkloadChange, workload: Workload) -> PolicyChange:
    return PolicyChange(
        change=line.change,
        direction=line.direction.value,
        peers=[str(peer) for peer in line.peers[:MOST_PEERS]],
        more_peers=max(0, len(line.peers) - MOST_PEERS),
        ports=line.ports,
        sentence=line.sentence(workload),
    )


def _replay(which: PolicySet) -> PolicyReplay:
    found = which.replay
    return PolicyReplay(
        flows=found.flows,
        connections=found.connections,
        allowed=found.allowed,
        denied=[_denied(d) for d in found.denied],
        attempts=[_denied(d) for d in found.attempts],
        unused=_unused(which),
        skipped=dict(found.skipped),
    )


def _denied(d: Denied) -> PolicyDenied:
    return PolicyDenied(
        src=d.src,
        dst=d.dst,
        protocol=d.protocol,
        dst_port=d.port,
        connections=d.connections,
        reason=d.reason,
        missing_rule=_texts(d.missing_policies()),
    )


def _unused(which: PolicySet) -> list[PolicyUnused]:
    return [
        PolicyUnused(policy=u.policy, direction=u.direction.value, rule=u.rule, port=u.port, reason=u.reason)
        for u in which.replay.unused
    ]


def _text(policy: NetworkPolicy) -> PolicyText:
    return PolicyText(name=f"{policy.namespace}/{policy.name}", yaml=policy_text(policy))


def _texts(many: Iterable[NetworkPolicy]) -> str:
    return "---\n".join(map(policy_text, many))


def _workload_end(end: Pod | Outsider) -> str:
    """The id that the service map gives an end."""
    if isinstance(end, Pod):
        return node_id("workload", end.namespace, end.workload.kind, "", end.workload.name)
    return _outside_end(end)


def _pod_end(end: Pod | Outsider) -> str:
    return node_id("pod", end.namespace, "", "", end.name) if isinstance(end, Pod) else _outside_end(end)


def _outside_end(end: Outsider) -> str:
    namespace, service = end.service or ("", "")
    names = {
        EndKind.NODE: end.node,
        EndKind.SERVICE: service,
        EndKind.AWS: end.aws_service,
        EndKind.INTERNET: end.dns_name,
    }
    return node_id(end.kind.value, namespace, "", end.region or "", names.get(end.kind) or end.address)
