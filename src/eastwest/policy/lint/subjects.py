"""Lint of whom policies select: nobody, pods that no policy selects, policies whose order is undefined."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import numpy as np

from eastwest.model.cluster import Pod
from eastwest.model.flow import Direction
from eastwest.model.policy import LabelSelector
from eastwest.policy.engine import Engine
from eastwest.policy.lint.findings import Finding, on_cluster_policy, on_policy
from eastwest.policy.tables import NO_RULES
from eastwest.policy.wording import selector


def check(engine: Engine) -> Iterator[Finding]:
    """selects-nothing, no-policy, priority-tie."""
    yield from _select_nothing(engine)
    yield from _without_policy(engine)
    yield from _ties(engine)


def _select_nothing(engine: Engine) -> Iterator[Finding]:
    universe = engine.universe
    for policy in universe.cluster.network_policies:
        if not universe.select(policy.namespace, None, policy.pod_selector, False).any():
            there = [p for p in universe.pods if p.namespace == policy.namespace]
            what = selector(policy.pod_selector)
            message = f"podSelector ({what}) matches no pod of namespace {policy.namespace}"
            path = ("spec", "podSelector")
            yield on_policy(policy, "selects-nothing", message, suggest(policy.pod_selector, there), path)
    for other in universe.cluster.cluster_network_policies:
        namespaces, pods = other.subject_pods or (other.subject_namespaces, None)
        if namespaces is not None and not universe.select(None, namespaces, pods, True).any():
            fix = suggest(pods, universe.pods) if pods is not None else "correct the subject, or delete the policy"
            yield on_cluster_policy(other, "selects-nothing", "the subject matches no pod", fix, ("spec", "subject"))


def suggest(wanted: LabelSelector | None, pods: list[Pod] | tuple[Pod, ...]) -> str:
    """The nearest label that some pod has, or the labels that there are."""
    labels = sorted({f"{k}={v}" for p in pods for k, v in p.labels.items()})
    for key, value in wanted.match_labels if wanted is not None else ():
        close = difflib.get_close_matches(f"{key}={value}", labels, 1, 0.75)
        if close and close[0] != f"{key}={value}":
            return f"did you mean {close[0]}?"
    if not labels:
        return "there are no pods: give their manifests as well (in DIR, or with --cluster), or delete the policy"
    return f"correct the selector or delete it; labels there: {', '.join(labels[:6])}{' …' * (len(labels) > 6)}"


def _without_policy(engine: Engine) -> Iterator[Finding]:
    """One finding per workload that no policy of any kind selects, in either direction."""
    universe, seen = engine.universe, set()
    for i, pod in enumerate(universe.pods):
        if universe.is_node[i] or not universe.live[i] or pod.workload in seen:
            continue
        if all(engine.rules(i, d) is NO_RULES for d in Direction):
            seen.add(pod.workload)
            yield Finding(
                "no-policy",
                "no policy selects its pods: anyone may connect to them and they may connect to anything",
                f"add a default deny to namespace {pod.namespace} (podSelector: {{}}, policyTypes: [Ingress, Egress])"
                " and allow what is needed; `eastwest policy generate` derives both from traffic",
                f"{pod.workload.kind} {pod.namespace}/{pod.workload.name}",
                pod.origin.file if pod.origin else None,
                pod.origin.line if pod.origin else 0,
            )


def _ties(engine: Engine) -> Iterator[Finding]:
    """Two ClusterNetworkPolicies of one tier and priority on common pods: which one decides is undefined."""
    written = {p.name: p for p in engine.universe.cluster.cluster_network_policies}
    groups: dict[tuple[str, str, int], list[int]] = {}
    for i, policy in enumerate(engine.policies):
        if policy.policy in written and "/" not in policy.policy:
            groups.setdefault((policy.tier, policy.direction, policy.priority), []).append(i)
    for (tier, direction, priority), members in groups.items():
        for n, i in enumerate(members):
            for j in members[:n]:
                one, other = engine.policies[i], engine.policies[j]
                if np.any(one.subject & other.subject):
                    yield on_cluster_policy(
                        written[one.policy],
                        "priority-tie",
                        f"priority {priority} in tier {tier}, {direction}, is also that of {other.policy}, "
                        "for some of the same pods: which one decides is undefined",
                        "give each policy its own priority",
                        ("spec", "priority"),
                    )
