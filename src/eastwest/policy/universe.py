"""The pods, namespaces and nodes that policies speak about, indexed for selectors and addresses.

Owns which pods exist for policy (completed ones do not), which are really their node (host network), and label
columns as arrays. Knows nothing of rules. Arrays of pods have shape (n_pods,), in the order of `ClusterState.pods`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eastwest.model.cluster import ClusterState, Labels, Namespace, Pod
from eastwest.model.plan import Posture
from eastwest.model.policy import LabelSelector, Requirement
from eastwest.policy.addresses import parse_address
from eastwest.policy.options import Options
from eastwest.policy.posture import ALLOW_ALL, Postures

Mask = NDArray[np.bool_]
"""True where a pod (or an identity) belongs to the set."""

FINISHED = ("Succeeded", "Failed")
NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(slots=True)
class LabelColumns:
    """Labels of many objects, one column of value codes per key, made when a selector first asks for the key."""

    rows: Sequence[Labels]
    _columns: dict[str, tuple[NDArray[np.int32], dict[str, int]]] = field(default_factory=dict)
    _masks: dict[LabelSelector, Mask] = field(default_factory=dict)

    def select(self, selector: LabelSelector) -> Mask:
        """Which rows a selector matches; each distinct selector is evaluated once."""
        found = self._masks.get(selector)
        if found is None:
            found = np.ones(len(self.rows), np.bool_)
            for key, value in selector.match_labels:
                found &= self._equal(key, (value,))
            for requirement in selector.match_expressions:
                found &= self._meets(requirement)
            self._masks[selector] = found
        return found

    def _column(self, key: str) -> tuple[NDArray[np.int32], dict[str, int]]:
        if key not in self._columns:
            values: dict[str, int] = {}
            codes = [-1 if (v := row.get(key)) is None else values.setdefault(v, len(values)) for row in self.rows]
            self._columns[key] = np.asarray(codes, np.int32), values
        return self._columns[key]

    def _equal(self, key: str, wanted: Iterable[str]) -> Mask:
        codes, values = self._column(key)
        known = [values[v] for v in wanted if v in values]
        if len(known) == 1:
            return np.asarray(codes == known[0], np.bool_)
        return np.isin(codes, known)

    def _meets(self, requirement: Requirement) -> Mask:
        if requirement.operator in ("In", "NotIn"):
            inside = self._equal(requirement.key, requirement.values)
            return inside if requirement.operator == "In" else ~inside
        present = self._column(requirement.key)[0] >= 0
        return present if requirement.operator == "Exists" else ~present


class Universe:
    """One `ClusterState` as arrays.

    `pods` includes host-network and completed pods, so that positions equal those of `ClusterState.pods`; `live` is
    False for completed ones (Succeeded, Failed), whose address may already belong to another pod.
    """

    def __init__(self, cluster: ClusterState, options: Options) -> None:
        self.cluster = cluster
        self.pods: tuple[Pod, ...] = cluster.pods
        self.namespaces = _with_implied(cluster)
        self._namespace_index = {n.name: i for i, n in enumerate(self.namespaces)}
        self.pod_namespace = _array(self._namespace_index[p.namespace] for p in self.pods)
        self.live = np.array([p.phase not in FINISHED for p in self.pods], np.bool_)
        self.host_network = np.array([p.host_network for p in self.pods], np.bool_)
        self.is_node = self.host_network if options.host_network == "exempt" else np.zeros_like(self.host_network)
        nodes = {n.name: i for i, n in enumerate(cluster.nodes)}
        implied = sorted({p.node for p in self.pods if p.node} - nodes.keys())
        self.node_index = nodes | {name: len(nodes) + i for i, name in enumerate(implied)}
        self.pod_node = _array(self.node_index[p.node] if p.node else -1 for p in self.pods)
        self._pod_labels = LabelColumns([p.labels for p in self.pods])
        self._namespace_labels = LabelColumns([n.labels for n in self.namespaces])
        self._scopes: dict[tuple[bool, str | None, LabelSelector | None], Mask] = {}
        self._index_addresses()

    def _index_addresses(self) -> None:
        self.pod_at: dict[tuple[int, int], int] = {}
        self.node_at: dict[tuple[int, int], int] = {}
        for node in self.cluster.nodes:
            for text in node.ips:
                self.node_at[parse_address(text)] = self.node_index[node.name]
        self._addresses = [tuple(map(parse_address, self._texts(i))) for i in range(len(self.pods))]
        for i, pod in enumerate(self.pods):
            for key in self._addresses[i] if self.live[i] else ():
                if not pod.host_network:
                    self.pod_at[key] = i
                elif pod.node:
                    self.node_at.setdefault(key, self.node_index[pod.node])

    def _texts(self, pod: int) -> tuple[str, ...]:
        """The pod's addresses; a host-network pod that states none has its node's."""
        texts, node = self.pods[pod].ips, int(self.pod_node[pod])
        if not texts and self.is_node[pod] and 0 <= node < len(self.cluster.nodes):
            return self.cluster.nodes[node].ips
        return texts

    def families(self) -> tuple[int, ...]:
        """The IP families that any pod or node has; both when no address is known (manifests only)."""
        seen = {family for family, _ in (*self.pod_at, *self.node_at)}
        return tuple(sorted(seen)) or (4, 6)

    def select(
        self, namespace: str | None, namespaces: LabelSelector | None, pods: LabelSelector | None, cluster_tier: bool
    ) -> Mask:
        """Pods of one namespace (by name) or of the selected ones, that match `pods`; None = no condition.

        `cluster_tier`: as ClusterNetworkPolicy selects, which never takes host-network pods.
        """
        key = (cluster_tier, None if namespaces is not None else namespace, namespaces)
        out = self._scopes.get(key)
        if out is None:
            out = self.live & ~(self.host_network if cluster_tier else self.is_node)
            if namespaces is not None:
                out = out & self._namespace_labels.select(namespaces)[self.pod_namespace]
            elif namespace is not None:
                out = out & (self.pod_namespace == self._namespace_index.get(namespace, -1))
            self._scopes[key] = out
        return out & self._pod_labels.select(pods) if pods is not None else out

    def denied_by_posture(self, postures: Postures) -> list[str | None] | None:
        """Of each pod the scope whose default posture denies, None where it allows; None = it allows all of them.

        Pods that are their node have no posture.
        """
        if postures == ALLOW_ALL:
            return None
        labels = {n.name: n.labels for n in self.cluster.nodes}
        out: list[str | None] = []
        for i, pod in enumerate(self.pods):
            posture, scope = postures.of_pod(pod.namespace, pod.node, labels.get(pod.node or "", {}))
            out.append(scope if posture is Posture.DENY and self.live[i] and not self.is_node[i] else None)
        return out

    def addresses(self, pod: int, family: int) -> tuple[int, ...]:
        """The addresses of a pod in one family, as integers; a host-network pod without its own has its node's."""
        return tuple(value for f, value in self._addresses[pod] if f == family)


def _with_implied(cluster: ClusterState) -> tuple[Namespace, ...]:
    """Namespaces, and for pods in a namespace that no object declares, one with the label every API server sets."""
    known = {n.name for n in cluster.namespaces}
    implied = sorted({p.namespace for p in cluster.pods} - known)
    return (*cluster.namespaces, *(Namespace(n, {NAMESPACE_NAME: n}) for n in implied))


def _array(values: Iterable[int]) -> NDArray[np.int32]:
    return np.fromiter(values, np.int32)
