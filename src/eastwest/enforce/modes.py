"""What people asked for: a mode per namespace and direction, narrowed to nodes where a rollout is under way, and the
default postures. Immutable values; `settings` keeps and changes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from eastwest.model.flow import Direction
from eastwest.model.plan import Mode
from eastwest.policy.posture import ALLOW_ALL, Postures

EVERY_NAMESPACE: Final = "*"
"""Stands for every namespace that has no entry of its own in that direction, and for pods nobody knows."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One namespace in one direction: `mode` everywhere but on `nodes`, (name, mode) sorted, never equal to `mode`."""

    mode: Mode = Mode.OFF
    nodes: tuple[tuple[str, Mode], ...] = ()

    def on(self, node: str) -> Mode:
        return next((mode for name, mode in self.nodes if name == node), self.mode)

    def narrowed(self, nodes: Iterable[str], mode: Mode) -> Setting:
        """The same with `mode` on some nodes only."""
        found = dict(self.nodes) | dict.fromkeys(nodes, mode)
        return replace(self, nodes=tuple(sorted((n, m) for n, m in found.items() if m is not self.mode)))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All settings at one moment. `revision` grows with every change and is kept across restarts.

    modes: ((namespace, direction), setting), sorted; a pair that is absent follows `EVERY_NAMESPACE`, which is off.
    """

    revision: int = 0
    modes: tuple[tuple[tuple[str, Direction], Setting], ...] = ()
    postures: Postures = ALLOW_ALL

    def setting(self, namespace: str, direction: Direction) -> Setting:
        found = dict(self.modes)
        return found.get((namespace, direction)) or found.get((EVERY_NAMESPACE, direction), Setting())

    def mode(self, namespace: str, direction: Direction, node: str) -> Mode:
        """What is done with decisions about the pods of a namespace on a node."""
        return self.setting(namespace, direction).on(node)

    def namespaces(self) -> Iterator[str]:
        """Those with an entry of their own, sorted; `EVERY_NAMESPACE` may be one of them."""
        yield from sorted({namespace for (namespace, _), _ in self.modes})

    def with_mode(
        self, namespace: str, mode: Mode, direction: Direction | None = None, nodes: Iterable[str] | None = None
    ) -> Snapshot:
        """The same with one namespace changed, in one direction or both, everywhere or on some nodes only.

        Everywhere ends what was narrowed before. Raises ValueError for an empty name.
        """
        wanted = None if nodes is None else tuple(nodes)
        if not namespace.strip() or (wanted is not None and not all(n.strip() for n in wanted)):
            raise ValueError("a namespace and nodes must be named")
        found = dict(self.modes)
        for one in (direction,) if direction is not None else tuple(Direction):
            before = self.setting(namespace, one)
            found[namespace, one] = Setting(mode) if wanted is None else before.narrowed(wanted, mode)
        return replace(self, modes=tuple(sorted(found.items(), key=lambda item: item[0])))
