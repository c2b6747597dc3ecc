"""How a step raises the settings of namespaces: never lower than they were. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from eastwest.enforce.modes import Setting, Snapshot
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode

ORDER: Final = {Mode.OFF: 0, Mode.AUDIT: 1, Mode.ENFORCE: 2}

Modes = Mapping[tuple[str, Direction], Setting]
"""By namespace and direction; what is missing is off."""


def _higher(one: Mode, other: Mode) -> Mode:
    return max(one, other, key=ORDER.__getitem__)


def _raise(setting: Setting, mode: Mode, nodes: tuple[str, ...] | None) -> Setting:
    if nodes is None:
        raised_ = Setting(_higher(setting.mode, mode))
        own = {node: _higher(there, mode) for node, there in setting.nodes}
    else:
        raised_ = Setting(setting.mode)
        own = dict(setting.nodes) | {node: _higher(setting.on(node), mode) for node in nodes}
    for node, there in own.items():
        raised_ = raised_.narrowed((node,), there)
    return raised_


def raised(
    modes: Modes, mode: Mode, namespaces: Iterable[str], directions: Iterable[Direction], nodes: tuple[str, ...] | None
) -> Modes:
    """`modes` with at least `mode` for these namespaces and directions on these nodes (None: on all, also new ones)."""
    wanted = [(n, d) for n in namespaces for d in directions]
    return {**modes, **{key: _raise(modes.get(key, Setting()), mode, nodes) for key in wanted}}


def highest(modes: Modes, namespace: str, node: str) -> Mode:
    """The stricter of a namespace's two directions on a node."""
    ingress, egress = (modes.get((namespace, d), Setting()).on(node) for d in Direction)
    return _higher(ingress, egress)


def modes_of(snapshot: Snapshot, namespaces: Iterable[str], directions: Iterable[Direction]) -> Modes:
    """The modes of these namespaces as they are, also where they only follow the setting for every namespace."""
    chosen = [(n, d) for n in namespaces for d in directions]
    return {(n, d): snapshot.setting(n, d) for n, d in chosen}


def own(snapshot: Snapshot, modes: Modes) -> tuple[tuple[str, Direction], ...]:
    """Those of `modes` that have an entry of their own in the settings."""
    return tuple(key for key, _ in snapshot.modes if key in modes)
