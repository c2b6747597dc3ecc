"""Engine + settings → what is to be in force on each node (`NodePlan`), without version and digest. Pure.

    compiler = Compiler()                        # remembers numbers from one compilation to the next
    plans = compiler.compile(engine, snapshot)   # {node: NodePlan}; raises RefusedError, and nothing has changed

What nodes share (rows, the cells of a table) is made once; identities and numbers are a node's own. A side that is off
has no table: it costs nothing. docs/enforcement.md says how the arrays become a verdict; tests/enforce/interpreter.py
does it literally.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.enforce.addresses import Ends, NodeIdentities
from eastwest.enforce.cells import CellMaker, Key, TableCells
from eastwest.enforce.limits import RefusedError
from eastwest.enforce.modes import EVERY_NAMESPACE, Snapshot
from eastwest.enforce.numbering import Book, ReasonSlots, carried
from eastwest.enforce.reason_book import ReasonBook
from eastwest.enforce.rows import assemble
from eastwest.model.flow import Direction
from eastwest.model.plan import CELLS, IDENTITIES, PORTS, Mode, NodePlan, PlanPod, Reason, Side
from eastwest.policy.engine import Engine

OFF: Final = Side(Mode.OFF, 0, 0)


@dataclass
class _Numbers:
    """What one node's plan had: numbers of the ends of `Compiler._ends`, of its pods' tables, and its reasons."""

    ends: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    next_identity: int = 1
    tables: dict[tuple[Direction, str], int] = field(default_factory=dict)
    next_table: int = 1
    reasons: ReasonSlots = field(default_factory=ReasonSlots)


@dataclass
class Compiler:
    """Keeps the numbers of what did not change. Not safe for several threads."""

    _ends: Ends | None = None
    _rows: Book[bytes] = field(default_factory=Book)
    _reasons: ReasonBook = field(default_factory=ReasonBook)
    _numbers: dict[str, _Numbers] = field(default_factory=dict)

    def compile(self, engine: Engine, snapshot: Snapshot) -> dict[str, NodePlan]:
        """The plans of all nodes, of any size. Raises RefusedError, naming the policy, and changes nothing then."""
        refuse_domains(engine)
        self._rows.begin()
        self._reasons.begin()
        run = _Run(engine, snapshot, Ends(engine, self._ends), self._rows, self._reasons)
        plans, numbers = {}, {}
        for node in sorted(engine.universe.node_index):
            plans[node], numbers[node] = run.plan(node, self._numbers.get(node) or _Numbers())
        self._rows.keep()
        self._reasons.keep()
        self._ends, self._numbers = run.ends, numbers
        return plans


def refuse_domains(engine: Engine) -> None:
    """Raise RefusedError for the first rule with domain names: nothing here can enforce them yet."""
    for rule in engine.undecided_domains():
        raise RefusedError(
            f"ClusterNetworkPolicy {rule.ref}: domainNames cannot be enforced yet. Use "
            "networks (CIDRs) instead, or remove the rule",
            rule.policy,
        )


class _Run:
    """One compilation."""

    def __init__(self, engine: Engine, snapshot: Snapshot, ends: Ends, rows: Book[bytes], reasons: ReasonBook) -> None:
        self._engine = engine
        self._snapshot = snapshot
        self.ends = ends
        self._rows = rows
        self._reasons = reasons
        self._maker = CellMaker(engine, rows, reasons, ends.addressed)
        self._made: dict[Key, TableCells] = {}
        universe = engine.universe
        self._of_node: dict[int, list[int]] = {}
        for pod in np.flatnonzero(universe.live & ~universe.is_node).tolist():
            self._of_node.setdefault(int(universe.pod_node[pod]), []).append(pod)
        self._nodes = {n.name: n for n in universe.cluster.nodes}
        self._modes: dict[tuple[str, Direction, str], Mode] = {}

    def plan(self, node: str, before: _Numbers) -> tuple[NodePlan, _Numbers]:
        """One node's plan, and the numbers it has now."""
        pods = self._of_node.get(self._engine.universe.node_index[node], [])
        used = self._tables(pods, node)
        numbers = _Numbers(reasons=before.reasons)
        number_of = self._number_tables(used, before, numbers)
        cells, identities = self._cells(node, number_of, before, numbers)
        ports, reasons = self._ports(cells, number_of, numbers)
        of_node = self._nodes.get(node)
        posture, _ = self._snapshot.postures.of_node(node, of_node.labels if of_node else {})
        modes = [self._snapshot.mode(EVERY_NAMESPACE, d, node) for d in Direction]
        plan = NodePlan(
            node=node,
            version=0,
            digest="",
            pods=tuple(self._pod(pod, node, number_of) for pod in pods),
            reasons=reasons,
            identities=identities,
            cells=cells,
            ports=ports,
            ranges=of_node.pod_cidrs if of_node else (),
            posture=posture,
            unknown_mode=min(modes, key=list(Mode).index),
            sources=self._sources(number_of),
        )
        return plan, numbers

    def _mode(self, pod: int, direction: Direction, node: str) -> Mode:
        key = self._engine.universe.pods[pod].namespace, direction, node
        found = self._modes.get(key)
        if found is None:
            found = self._modes[key] = self._snapshot.mode(*key)
        return found

    def _key(self, pod: int, direction: Direction) -> Key:
        engine = self._engine
        ports = 0
        if direction is Direction.INGRESS:
            ports = int(engine.port_table_of[engine.identities.of_pod[4][pod]])
        return direction, int(engine.table_of_pod[direction][pod]), ports

    def _tables(self, pods: list[int], node: str) -> dict[tuple[Direction, str], Key]:
        """The table of each side that is not off."""
        return {
            (direction, uid(self._engine, pod)): self._key(pod, direction)
            for pod in pods
            for direction in Direction
            if self._mode(pod, direction, node) is not Mode.OFF
        }

    def _number_tables(
        self, used: dict[tuple[Direction, str], Key], before: _Numbers, numbers: _Numbers
    ) -> dict[Key, int]:
        position: dict[Key, int] = {}
        group = np.array([position.setdefault(key, len(position)) for key in used.values()], np.int64)
        old = np.array([before.tables.get(side, 0) for side in used], np.uint32)
        found, numbers.next_table = carried(old, group, len(position), before.next_table)
        number_of = {key: int(found[at]) for key, at in position.items()}
        numbers.tables = {side: number_of[key] for side, key in used.items()}
        return number_of

    def _cells(
        self, node: str, number_of: dict[Key, int], before: _Numbers, numbers: _Numbers
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The node's cells and identities."""
        if not number_of:
            return np.zeros(0, CELLS), np.zeros(0, IDENTITIES)
        classes = self._maker.classes(number_of)
        known = NodeIdentities(self.ends, classes, before.ends, before.next_identity)
        numbers.ends, numbers.next_identity = known.numbers, known.next
        made = [self._table_cells(key) for key in number_of]
        sizes = [len(c.rows) for c in made]
        out = np.zeros(sum(sizes), CELLS)
        out["table"] = np.repeat(np.array(list(number_of.values()), np.uint32), sizes)
        out["identity"] = known.of_class[classes[np.concatenate([c.identities for c in made])]]
        out["row"] = np.concatenate([c.rows for c in made])
        once = np.unique(out["table"].astype(np.int64) << 32 | out["identity"], return_index=True)[1]
        return out[once], known.rows(node)

    def _table_cells(self, key: Key) -> TableCells:
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._maker.cells(key)
        return found

    def _ports(
        self, cells: NDArray[Any], tables: Iterable[Key], numbers: _Numbers
    ) -> tuple[NDArray[Any], tuple[Reason, ...]]:
        """The rows' entries, reasons as positions in the node's own list."""
        defaults = np.array([self._made[key].default for key in tables], np.uint32)
        rows = np.unique(np.append(cells["row"], defaults))
        if not len(rows):
            return np.zeros(0, PORTS), ReasonSlots.listed({}, self._reasons.reason)
        ports = assemble((n, self._rows.key(n)) for n in rows.tolist())
        used, inverse = np.unique(ports["reason"], return_inverse=True)
        placed = numbers.reasons.place(used.tolist())
        ports["reason"] = np.array([placed[n] for n in used.tolist()], np.uint32)[inverse]
        return ports, ReasonSlots.listed(placed, self._reasons.reason)

    def _pod(self, pod: int, node: str, number_of: dict[Key, int]) -> PlanPod:
        sides = {}
        for direction in Direction:
            mode, key = self._mode(pod, direction, node), self._key(pod, direction)
            sides[direction] = OFF if mode is Mode.OFF else Side(mode, number_of[key], self._made[key].default)
        found = self._engine.universe.pods[pod]
        egress, ingress = sides[Direction.EGRESS], sides[Direction.INGRESS]
        return PlanPod(uid(self._engine, pod), found.namespace, found.name, found.ips, egress, ingress)

    def _sources(self, used: Iterable[Key]) -> tuple[str, ...]:
        """The policies that the tables of this node's pods come from."""
        out: set[str] = set()
        for direction, number, _ in used:
            table = self._engine.tables[direction][number]
            out.update(table.isolated_by)
            out.update(rule.policy for rule in (*table.admin, *table.baseline))
        return tuple(sorted(out))


def uid(engine: Engine, pod: int) -> str:
    """What a pod is called in plans; one known from manifests only has no UID."""
    found = engine.universe.pods[pod]
    return found.uid or f"{found.namespace}/{found.name}"
