"""Modes of namespaces as a rollout sees them: a mode everywhere, and other modes on single nodes. Pure values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from eastwest.model.flow import Direction
from eastwest.model.plan import Mode

ORDER: Final = {Mode.OFF: 0, Mode.AUDIT: 1, Mode.ENFORCE: 2}


@dataclass(frozen=True, slots=True)
class Scope:
    """The mode of one namespace and direction: `everywhere` holds on nodes that `on` does not name, also new ones."""

    everywhere: Mode = Mode.OFF
    on: Mapping[str, Mode] = field(default_factory=dict)

    def at(self, node: str) -> Mode:
        return self.on.get(node, self.everywhere)


Modes = Mapping[tuple[str, Direction], Scope]
"""By namespace and direction; what is missing is off."""


def _higher(one: Mode, other: Mode) -> Mode:
    return max(one, other, key=ORDER.__getitem__)


def _raise(scope: Scope, mode: Mode, nodes: tuple[str, ...] | None) -> Scope:
    if nodes is None:
        everywhere = _higher(scope.everywhere, mode)
        kept = {node: _higher(own, mode) for node, own in scope.on.items()}
        return Scope(everywhere, {node: own for node, own in kept.items() if own is not everywhere})
    on = {**scope.on, **{node: _higher(scope.at(node), mode) for node in nodes}}
    return Scope(scope.everywhere, {node: own for node, own in on.items() if own is not scope.everywhere})


def raised(
    modes: Modes, mode: Mode, namespaces: Iterable[str], directions: Iterable[Direction], nodes: tuple[str, ...] | None
) -> Modes:
    """`modes` with at least `mode` for these namespaces and directions on these nodes (None: on all)."""
    wanted = [(n, d) for n in namespaces for d in directions]
    return {**modes, **{key: _raise(modes.get(key, Scope()), mode, nodes) for key in wanted}}


def highest(modes: Modes, namespace: str, node: str) -> Mode:
    """The stricter of a namespace's two directions on a node."""
    ingress, egress = (modes.get((namespace, d), Scope()).at(node) for d in Direction)
    return _higher(ingress, egress)
