"""The default posture: what holds for a pod that no policy isolates and for a connection that none decides.

Set per namespace, per node group and for the cluster; the narrower scope wins, in this order. Of several node groups that
hold a node, one that denies wins, so their order never matters. Allow everywhere is what Kubernetes specifies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from eastwest.model.cluster import Labels
from eastwest.model.plan import Posture
from eastwest.model.policy import LabelSelector

NODE_NAME: Final = "metadata.name"
"""The key under which a node group may name nodes, as field selectors do."""


@dataclass(frozen=True, slots=True)
class Postures:
    """`namespaces` by name; `nodes` by the text of a node group (see `node_group`); sorted, one entry each."""

    cluster: Posture = Posture.ALLOW
    namespaces: tuple[tuple[str, Posture], ...] = ()
    nodes: tuple[tuple[str, Posture], ...] = ()

    def with_cluster(self, posture: Posture) -> Postures:
        return replace(self, cluster=posture)

    def with_namespace(self, name: str, posture: Posture | None) -> Postures:
        """None takes the entry away: the next wider scope holds again."""
        return replace(self, namespaces=_changed(self.namespaces, name, posture))

    def with_nodes(self, group: str, posture: Posture | None) -> Postures:
        """As `with_namespace`, for a node group. Raises ValueError for text that is no node group."""
        node_group(group)
        return replace(self, nodes=_changed(self.nodes, group, posture))

    def of_node(self, name: str, labels: Labels) -> tuple[Posture, str]:
        """What holds on a node for pods whose namespace says nothing, and the scope that says so."""
        held = [(p, f"nodes {group}") for group, p in self.nodes if holds_node(group, name, labels)]
        denied = [h for h in held if h[0] is Posture.DENY]
        return (denied or held or [(self.cluster, "the cluster")])[0]

    def of_pod(self, namespace: str, node: str | None, labels: Labels) -> tuple[Posture, str]:
        """What holds for a pod, and the scope that says so. `labels` are the node's."""
        found = dict(self.namespaces).get(namespace)
        if found is not None:
            return found, f"namespace {namespace}"
        return self.of_node(node, labels) if node else (self.cluster, "the cluster")


ALLOW_ALL: Final = Postures()


def holds_node(group: str, name: str, labels: Labels) -> bool:
    """Whether a node belongs to a group."""
    names, selector = node_group(group)
    return name in names if names else selector.matches({**labels, NODE_NAME: name})


@lru_cache(maxsize=1024)
def node_group(text: str) -> tuple[frozenset[str], LabelSelector]:
    """A node group: names (`node-a,node-b`), or labels that must all be equal (`pool=blue,zone=a`).

    Raises ValueError, saying what is expected.
    """
    words = [w.strip() for w in text.split(",")]
    if not all(words):
        raise ValueError(f"node group {text!r}: expected names (node-a,node-b) or labels (pool=blue,zone=a)")
    pairs = [tuple(part.strip() for part in w.partition("=")[::2]) for w in words if "=" in w]
    if not pairs:
        return frozenset(words), LabelSelector()
    if len(pairs) != len(words) or not all(key for key, _ in pairs) or len(dict(pairs)) != len(pairs):  # type: ignore[arg-type]
        raise ValueError(f"node group {text!r}: either names or labels, each label once (pool=blue,zone=a)")
    return frozenset(), LabelSelector(tuple(sorted((key, value) for key, value in pairs)))


def _changed(
    entries: tuple[tuple[str, Posture], ...], key: str, posture: Posture | None
) -> tuple[tuple[str, Posture], ...]:
    if not key.strip():
        raise ValueError("a posture's scope must be named")
    kept: Mapping[str, Posture] = {k: p for k, p in entries if k != key} | ({} if posture is None else {key: posture})
    return tuple(sorted(kept.items()))
