"""Earlier policies that stay in force for some pods while what would replace them cannot be put in force.

Policies are kept, not addresses: their selectors meet the pods that there are now. Who keeps what, and why, is `enforce`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from eastwest.model.cluster import ClusterState
from eastwest.model.policy import ClusterNetworkPolicy, NetworkPolicy
from eastwest.policy.peers import PeerSets
from eastwest.policy.rules import DirectedPolicy, compile_cluster_policy, compile_network_policy
from eastwest.policy.universe import Mask, Universe


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All policies of a cluster at one time."""

    network: tuple[NetworkPolicy, ...] = ()
    cluster: tuple[ClusterNetworkPolicy, ...] = ()

    @classmethod
    def of(cls, state: ClusterState) -> PolicySet:
        return cls(state.network_policies, state.cluster_network_policies)

    def __iter__(self) -> Iterator[NetworkPolicy | ClusterNetworkPolicy]:
        return chain(self.network, self.cluster)


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """`pods` (n_pods,) are under `policies` and no others."""

    pods: Mask
    policies: PolicySet


def directed(universe: Universe, peers: PeerSets, kept: Sequence[Kept] = ()) -> Iterator[DirectedPolicy]:
    """Every policy in force. No pod may be in two of `kept`; those in none are under the policies of the cluster."""
    now = PolicySet.of(universe.cluster)
    if not kept:
        for policy in now:
            yield from _compiled(policy, universe, peers)
        return
    rest = ~np.logical_or.reduce([k.pods for k in kept])
    groups = [Kept(rest, now), *kept]
    known: dict[tuple[str, str], list[tuple[NetworkPolicy | ClusterNetworkPolicy, Mask, bool]]] = {}
    for number, group in enumerate(groups):
        for policy in group.policies:
            versions = known.setdefault(key_of(policy), [])
            at = next((i for i, (other, _, _) in enumerate(versions) if other is policy or other == policy), None)
            if at is None:
                versions.append((policy, group.pods, number > 0))
            else:
                other, mask, earlier = versions[at]
                versions[at] = other, mask | group.pods, earlier
    for policy, mask, earlier in chain.from_iterable(known.values()):
        for one in _compiled(policy, universe, peers):
            yield replace(one, subject=one.subject & mask, earlier=earlier, withheld=one.subject & ~mask)


def key_of(policy: NetworkPolicy | ClusterNetworkPolicy) -> tuple[str, str]:
    """(kind, name as in plans)."""
    if isinstance(policy, NetworkPolicy):
        return "NetworkPolicy", f"{policy.namespace}/{policy.name}"
    return "ClusterNetworkPolicy", policy.name


def _compiled(
    policy: NetworkPolicy | ClusterNetworkPolicy, universe: Universe, peers: PeerSets
) -> Iterator[DirectedPolicy]:
    if isinstance(policy, NetworkPolicy):
        return compile_network_policy(policy, universe, peers)
    return compile_cluster_policy(policy, universe, peers)
