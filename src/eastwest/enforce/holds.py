"""What holds where the newest policies cannot be put in force: the policies that did before, for those pods alone.

A refused policy holds the pods it concerns, a plan that does not fit holds its node's. Held pods keep the *policies* of the
moment before, which go on meeting pods, labels and addresses as they come and go; everybody else follows the cluster. Where
nobody knows what held before (the server has just begun), the node as a whole keeps the plan that its agent has.
See decision 0145. Pure but for its memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from eastwest.enforce.limits import RefusedError
from eastwest.enforce.refusals import Refused, subject
from eastwest.model.cluster import ClusterState
from eastwest.model.policy import ClusterNetworkPolicy
from eastwest.policy.kept import Kept, PolicySet, key_of
from eastwest.policy.universe import Mask, Universe


@dataclass(frozen=True)
class Hold:
    """Why some pods keep what they had. refused: the policy; None: a plan is too large for `node`.

    before: the policies that held when it began; None: nobody knows.
    """

    message: str
    policy: str | None
    since_ns: int
    before: PolicySet | None
    refused: Refused | None = None
    node: str | None = None

    @property
    def scope(self) -> str:
        """Who is held, in words."""
        who = self.refused.scope if self.refused is not None else f"the pods of node {self.node}"
        return (
            f"{who} keep the policies of before"
            if self.before is not None
            else f"nodes with {who} keep their last plan"
        )

    def pods(self, universe: Universe) -> Mask:
        """(n_pods,): who is held."""
        if self.refused is None:
            return np.asarray(universe.pod_node == universe.node_index.get(self.node or "", -1), np.bool_)
        held = self.refused.concerns(universe)
        for policy in self.before.cluster if self.before is not None else ():
            if isinstance(policy, ClusterNetworkPolicy) and key_of(policy) == self.refused.key:
                held = held | subject(policy, universe)  # it must not be lost where only its earlier state selects
        return held


@dataclass(frozen=True)
class Arrangement:
    """The cluster as it is to be put in force: `state` for everybody in none of `kept`. frozen: nodes that keep their last
    plan, and why. held: how many pods each hold has, in the order of the holds."""

    state: ClusterState
    kept: tuple[Kept, ...]
    frozen: Mapping[str, str]
    held: tuple[int, ...]


@dataclass
class Holds:
    """Remembers since when, and what was in force before. One thread."""

    before: PolicySet | None = None  # what the last arrangement put in force, outside its holds
    _of_policies: dict[tuple[str, str], Hold] = field(default_factory=dict)
    _of_nodes: dict[str, Hold] = field(default_factory=dict)

    def refuse(self, refused: Iterable[Refused], now_ns: int) -> None:
        """These policies, and no others, cannot be put in force."""
        there = {r.key: r for r in refused}
        self._of_policies = {k: h for k, h in self._of_policies.items() if k in there}
        for key, one in there.items():
            known = self._of_policies.get(key)
            if known is None:
                self._of_policies[key] = Hold(one.message, one.name, now_ns, self.before, one)
            else:
                self._of_policies[key] = replace(known, message=one.message, refused=one)

    def too_large(self, errors: Mapping[str, RefusedError], now_ns: int) -> None:
        """The plans of these nodes, and of no others, do not fit."""
        self._of_nodes = {n: h for n, h in self._of_nodes.items() if n in errors}
        for node, error in errors.items():
            known = self._of_nodes.get(node)
            if known is None:
                self._of_nodes[node] = Hold(str(error), error.policy, now_ns, self.before, node=node)
            else:
                self._of_nodes[node] = replace(known, message=str(error), policy=error.policy)

    def all(self, *, nodes: bool = True) -> tuple[Hold, ...]:
        """The oldest first. nodes: also those of plans that do not fit."""
        found = [*self._of_policies.values(), *(self._of_nodes.values() if nodes else ())]
        return tuple(sorted(found, key=lambda h: h.since_ns))

    def arrange(self, state: ClusterState, universe: Universe, *, nodes: bool) -> Arrangement:
        """The cluster with these holds: a pod belongs to the oldest one that has it. `universe` is the state's."""
        kept: list[Kept] = []
        counts: list[int] = []
        frozen: dict[str, str] = {}
        free = universe.live & ~universe.is_node
        for hold in self.all(nodes=nodes):
            mine = hold.pods(universe) & free
            counts.append(int(mine.sum()))
            if hold.before is None:
                names = {index: name for name, index in universe.node_index.items()}
                for node in np.unique(universe.pod_node[mine]).tolist():
                    if node in names:
                        frozen.setdefault(names[node], hold.message)
                continue
            free &= ~mine
            if mine.any():
                kept.append(Kept(mine, hold.before))
        return Arrangement(self._without_refused(state), tuple(kept), frozen, tuple(counts))

    def _without_refused(self, state: ClusterState) -> ClusterState:
        """Each refused policy as it was before, if it was: nobody outside the holds is selected by it."""
        refused = self._of_policies
        earlier = [
            policy
            for hold in refused.values()
            for policy in hold.before or ()
            if hold.refused is not None and key_of(policy) == hold.refused.key
        ]
        network = [p for p in state.network_policies if key_of(p) not in refused]
        cluster = [p for p in state.cluster_network_policies if key_of(p) not in refused]
        for policy in earlier:
            if isinstance(policy, ClusterNetworkPolicy):
                cluster.append(policy)
            else:
                network.append(policy)
        return replace(state, network_policies=tuple(network), cluster_network_policies=tuple(cluster))
