"""Engine + settings → what is to be in force on each node (`NodePlan`), without version and digest. Pure.

    compiler = Compiler()                        # remembers numbers from one compilation to the next
    plans = compiler.compile(engine, snapshot)   # {node: NodePlan}; raises RefusedError, and nothing has changed

What all nodes share (identities, rows, the cells of a table) is made once. A side that is off has no table: it costs
nothing. docs/enforcement.md says how the arrays become a verdict; tests/enforce/interpreter.py does it literally.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eastwest.enforce import limits
from eastwest.enforce.addresses import AddressBook, EndKey, uid
from eastwest.enforce.cells import CellMaker, Key, TableCells
from eastwest.enforce.limits import Limits, RefusedError
from eastwest.enforce.modes import EVERY_NAMESPACE, Snapshot
from eastwest.enforce.numbering import Book, ReasonSlots
from eastwest.enforce.rows import assemble
from eastwest.model.flow import Direction
from eastwest.model.plan import CELLS, IDENTITIES, Mode, NodePlan, PlanPod, Reason, Side
from eastwest.policy.engine import Engine

OFF = Side(Mode.OFF, 0, 0)


@dataclass
class Compiler:
    """Keeps the numbers of what did not change. Not safe for several threads."""

    limits: Limits = limits.DEFAULT
    _ends: Book[EndKey] = field(default_factory=Book)
    _tables: Book[tuple[Direction, str]] = field(default_factory=Book)
    _rows: Book[bytes] = field(default_factory=Book)
    _reasons: Book[Reason] = field(default_factory=Book)
    _slots: dict[str, ReasonSlots] = field(default_factory=dict)

    def compile(self, engine: Engine, snapshot: Snapshot, nodes: Iterable[str] | None = None) -> dict[str, NodePlan]:
        """The plans of all nodes (or the given ones). Raises RefusedError, naming the policy, and changes nothing then."""
        refuse_domains(engine)
        books = (self._ends, self._tables, self._rows, self._reasons)
        for book in books:
            book.begin()
        run = _Run(engine, snapshot, self)
        wanted = sorted(engine.universe.node_index) if nodes is None else sorted(nodes)
        plans = {node: run.plan(node) for node in wanted}
        for plan in plans.values():
            limits.check(plan, self.limits)
        for book in books:
            book.keep()
        return plans

    def slots(self, node: str) -> ReasonSlots:
        return self._slots.setdefault(node, ReasonSlots())


def refuse_domains(engine: Engine) -> None:
    """Raise RefusedError for the first rule with domain names: nothing here can enforce them yet."""
    for rule in engine.undecided_domains():
        raise RefusedError(
            f"ClusterNetworkPolicy {rule.ref}: domainNames cannot be enforced yet; the last plan stays in force. Use "
            "networks (CIDRs) instead, or remove the rule",
            rule.policy,
        )


class _Run:
    """One compilation."""

    def __init__(self, engine: Engine, snapshot: Snapshot, compiler: Compiler) -> None:
        self._engine = engine
        self._snapshot = snapshot
        self._compiler = compiler
        self._rows = compiler._rows
        self._reasons = compiler._reasons
        self._addresses = AddressBook(engine, compiler._ends)
        self._maker = CellMaker(engine, self._rows, self._reasons, self._addresses.addressed)
        self._made: dict[Key, TableCells] = {}
        universe = engine.universe
        self._of_node: dict[int, list[int]] = {}
        for pod in np.flatnonzero(universe.live & ~universe.is_node).tolist():
            self._of_node.setdefault(int(universe.pod_node[pod]), []).append(pod)
        self._number_of = self._number_tables()
        self._labels = {n.name: n.labels for n in universe.cluster.nodes}
        self._ranges = {n.name: n.pod_cidrs for n in universe.cluster.nodes}

    def _mode(self, pod: int, direction: Direction) -> Mode:
        found = self._engine.universe.pods[pod]
        return self._snapshot.mode(found.namespace, direction, found.node or "")

    def _key(self, pod: int, direction: Direction) -> Key:
        engine = self._engine
        ports = 0
        if direction is Direction.INGRESS:
            ports = int(engine.port_table_of[engine.identities.of_pod[4][pod]])
        return direction, int(engine.table_of_pod[direction][pod]), ports

    def _number_tables(self) -> dict[Key, int]:
        """A number for each table that some pod needs, the one it had before if its pods had one."""
        keys: list[tuple[Direction, str]] = []
        group: list[int] = []
        position: dict[Key, int] = {}
        for pods in self._of_node.values():
            for pod in pods:
                for direction in Direction:
                    if self._mode(pod, direction) is not Mode.OFF:
                        keys.append((direction, uid(self._engine, pod)))
                        group.append(position.setdefault(self._key(pod, direction), len(position)))
        numbers = self._compiler._tables.groups(keys, group, len(position))
        return {key: int(numbers[at]) for key, at in position.items()}

    def _cells(self, key: Key) -> TableCells:
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._maker.cells(key)
        return found

    def plan(self, node: str) -> NodePlan:
        engine, snapshot = self._engine, self._snapshot
        used: dict[Key, TableCells] = {}
        pods = tuple(self._pod(pod, used) for pod in self._of_node.get(engine.universe.node_index.get(node, -2), ()))
        cells = self._node_cells(used)
        rows = np.unique(np.append(cells["row"], np.array([c.default for c in used.values()], np.uint32)))
        ports, reasons = self._ports(node, rows)
        posture, _ = snapshot.postures.of_node(node, self._labels.get(node, {}))
        modes = [snapshot.mode(EVERY_NAMESPACE, d, node) for d in Direction]
        return NodePlan(
            node=node,
            version=0,
            digest="",
            pods=pods,
            reasons=reasons,
            identities=self._addresses.of_node(node) if used else np.zeros(0, IDENTITIES),
            cells=cells,
            ports=ports,
            ranges=tuple(self._ranges.get(node, ())),
            posture=posture,
            unknown_mode=min(modes, key=list(Mode).index),
            sources=self._sources(used),
        )

    def _pod(self, pod: int, used: dict[Key, TableCells]) -> PlanPod:
        sides = {}
        for direction in Direction:
            mode, key = self._mode(pod, direction), self._key(pod, direction)
            if mode is Mode.OFF:
                sides[direction] = OFF
                continue
            used[key] = self._cells(key)
            sides[direction] = Side(mode, self._number_of[key], used[key].default)
        found = self._engine.universe.pods[pod]
        egress, ingress = sides[Direction.EGRESS], sides[Direction.INGRESS]
        return PlanPod(uid(self._engine, pod), found.namespace, found.name, found.ips, egress, ingress)

    def _node_cells(self, used: dict[Key, TableCells]) -> NDArray[Any]:
        sizes = [len(c.rows) for c in used.values()]
        out = np.zeros(sum(sizes), CELLS)
        if len(out):
            out["table"] = np.repeat(np.array([self._number_of[k] for k in used], np.uint32), sizes)
            out["identity"] = self._addresses.numbers[np.concatenate([c.identities for c in used.values()])]
            out["row"] = np.concatenate([c.rows for c in used.values()])
        return out

    def _ports(self, node: str, rows: NDArray[np.uint32]) -> tuple[NDArray[Any], tuple[Reason, ...]]:
        """The rows' entries, reasons as positions in the node's own list."""
        ports = assemble((n, self._rows.key(n)) for n in rows.tolist())
        numbers, inverse = np.unique(ports["reason"], return_inverse=True)
        placed = self._compiler.slots(node).place(numbers.tolist())
        ports["reason"] = np.array([placed[n] for n in numbers.tolist()], np.uint32)[inverse]
        return ports, ReasonSlots.listed(placed, self._reasons)

    def _sources(self, used: Iterable[Key]) -> tuple[str, ...]:
        """The policies that the tables of this node's pods come from."""
        out: set[str] = set()
        for direction, number, _ in used:
            table = self._engine.tables[direction][number]
            out.update(table.isolated_by)
            out.update(rule.policy for rule in (*table.admin, *table.baseline))
        return tuple(sorted(out))
