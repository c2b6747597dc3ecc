"""Policies that cannot be put in force as they are: broken ones, and those that ask for what nothing here can do.

Says whom each of them would concern. What holds there instead is `enforce.holds`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from eastwest.k8s.inventory import Present
from eastwest.model.policy import ClusterNetworkPolicy
from eastwest.policy.universe import Mask, Universe

NETWORK_POLICY: Final = "NetworkPolicy"
CLUSTER_POLICY: Final = "ClusterNetworkPolicy"


@dataclass(frozen=True)
class Refused:
    """A policy. name: as in plans. readable: the object, where its subject at least is known."""

    kind: str
    name: str
    message: str
    readable: ClusterNetworkPolicy | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.name

    @property
    def scope(self) -> str:
        """Whom it concerns, in words."""
        if self.readable is not None:
            return "the pods that it selects"
        return f"the pods of namespace {self.name.partition('/')[0]}" if self.kind == NETWORK_POLICY else "all pods"

    def concerns(self, universe: Universe) -> Mask:
        """(n_pods,): whom the policy may select. One that cannot be read may select whatever its kind can."""
        if self.readable is not None:
            return subject(self.readable, universe)
        if self.kind == NETWORK_POLICY:
            return universe.select(self.name.partition("/")[0], None, None, False)
        return universe.live & ~universe.is_node


def refused(present: Present) -> tuple[Refused, ...]:
    """Every policy that cannot be put in force, each once."""
    found = {r.key: r for r in (*_broken(present), *_domains(present.state.cluster_network_policies))}
    return tuple(found.values())


def subject(policy: ClusterNetworkPolicy, universe: Universe) -> Mask:
    """(n_pods,): whom it selects."""
    namespaces, pods = policy.subject_pods or (policy.subject_namespaces, None)
    return universe.select(None, namespaces, pods, True)


def _broken(present: Present) -> Iterable[Refused]:
    for problem in reversed(present.problems):  # of several about one object the first is told
        kind, _, name = problem.object.partition(" ")
        if problem.severity == "error" and kind in (NETWORK_POLICY, CLUSTER_POLICY):
            yield Refused(kind, name, f"{problem.object}: {problem.field}: {problem.message}")


def _domains(policies: Iterable[ClusterNetworkPolicy]) -> Iterable[Refused]:
    for policy in policies:
        rules = (*policy.egress, *policy.ingress)
        at = next((i for i, rule in enumerate(rules) if any(p.domain_names for p in rule.peers)), None)
        if at is not None:
            yield Refused(
                CLUSTER_POLICY,
                policy.name,
                f"ClusterNetworkPolicy {policy.name}[{at}]: domainNames cannot be enforced yet: use networks (CIDRs) "
                "instead, or remove the rule",
                policy,
            )
