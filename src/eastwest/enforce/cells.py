"""Cells: which row a rule table has for each identity. Peers are grouped by the rules that hold them; a row is made once
for each group, and every group but those of the most common row become cells.

A peer set that holds more than half of everybody is kept as those it does not hold, so the cost follows the exceptions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from eastwest.enforce.numbering import Book
from eastwest.enforce.reason_book import ReasonBook
from eastwest.enforce.reasons import isolation
from eastwest.enforce.rows import RowMaker
from eastwest.model.flow import Direction
from eastwest.policy.engine import Engine
from eastwest.policy.rules import Rule
from eastwest.policy.tables import RuleTable
from eastwest.policy.universe import Mask

Key = tuple[Direction, int, int]
"""(direction, table of the engine, named ports of the subject; 0 for egress, where those of the peer count)."""
Members = NDArray[np.int32]
"""Identities of the engine, ascending."""


@dataclass(frozen=True, slots=True)
class TableCells:
    """default: the most common row. identities, rows: those that differ; identities are the engine's."""

    default: int
    identities: Members
    rows: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class _Table:
    """A rule table at hand. sets: of peers, then of named ports (`names`, from len(held) on); held: the rules of each set of
    peers, ascending; base: the sets that hold more than half; ports: the subject's named ports; last: see `RowMaker.row`."""

    table: RuleTable
    direction: Direction
    rules: tuple[Rule, ...]
    sets: list[tuple[bool, Members]]
    held: list[list[int]]
    names: list[int]
    base: set[int]
    ports: int
    last: int


class CellMaker:
    """Makes the cells of one engine's tables, numbering rows and reasons.

    `addressed` (n_identities,) says which identities some address has: no other can be a packet's peer.
    """

    def __init__(self, engine: Engine, rows: Book[bytes], reasons: ReasonBook, addressed: Mask) -> None:
        self._engine = engine
        self._rows = rows
        self._reasons = reasons
        self._maker = RowMaker(engine, reasons)
        self._addressed = addressed
        self._total = int(addressed.sum())
        self._sets: dict[int, tuple[bool, Members]] = {}

    def cells(self, key: Key) -> TableCells:
        """One table's cells; the same table asked twice is made twice."""
        table = self._table(key)
        members: dict[int, list[int]] = {}
        rest = self._total
        for flipped, who in _groups(table.sets):
            row = self._row(table, table.base.symmetric_difference(flipped) if table.base else flipped)
            rest -= len(who)
            if row in members:
                members[row] += who
            else:
                members[row] = who
        counts = {row: len(who) for row, who in members.items()}
        if rest:
            untouched = self._row(table, table.base)
            counts[untouched] = counts.get(untouched, 0) + rest
        default = max(counts, key=lambda row: (counts[row], -row))
        if rest and default != untouched:
            members.setdefault(untouched, []).extend(self._untouched(table))
        members.pop(default, None)
        rows = np.repeat(np.fromiter(members, np.uint32, len(members)), [len(who) for who in members.values()])
        return TableCells(default, np.fromiter(chain.from_iterable(members.values()), np.int32, len(rows)), rows)

    def _table(self, key: Key) -> _Table:
        direction, number, ports = key
        table = self._engine.tables[direction][number]
        by_peers: dict[int, list[int]] = {}
        for at, rule in enumerate(table.rules):
            by_peers.setdefault(rule.peers, []).append(at)
        sets = [self._set(peers) for peers in by_peers]
        names: list[int] = []
        if direction is Direction.EGRESS:
            named = sorted({rule.peers for rule in table.rules if rule.ports.named})
            for number_of_names, those in self._named(named) if named else ():
                names.append(number_of_names)
                sets.append((False, those))
        base = {at for at, (wide, _) in enumerate(sets) if wide}
        last = self._reasons.number(isolation(direction, table.isolated_by)) if table.isolated_by else 0
        return _Table(table, direction, table.rules, sets, [*by_peers.values()], names, base, ports, last)

    def _untouched(self, table: _Table) -> list[int]:
        """Who is in exactly the sets that hold nearly everybody."""
        touched = np.concatenate([members for _, members in table.sets]) if table.sets else np.zeros(0, np.int32)
        others: list[int] = np.setdiff1d(np.flatnonzero(self._addressed), touched).tolist()
        return others

    def classes(self, keys: Iterable[Key]) -> NDArray[np.int64]:
        """(n_identities,): equal where none of these tables' rules tells two identities apart, from 0 up."""
        engine = self._engine
        peers: set[int] = set()
        by_name = False
        for direction, number, _ in keys:
            rules = engine.tables[direction][number].rules
            peers.update(rule.peers for rule in rules)
            by_name |= direction is Direction.EGRESS and any(rule.ports.named for rule in rules)
        if not peers:
            return np.zeros(len(engine.identities), np.int64)
        columns = np.packbits(engine.identities.member[sorted(peers)], axis=0).T
        if by_name:
            columns = np.hstack((columns, engine.port_table_of.astype("<i4")[:, None].view(np.uint8)))
        rows = np.ascontiguousarray(columns)
        words = rows.view(f"V{rows.shape[1]}").reshape(-1)
        return np.unique(words, return_inverse=True)[1].astype(np.int64).reshape(-1)

    def _row(self, table: _Table, inside: Collection[int]) -> int:
        """The number of the row for peers that exactly these sets hold."""
        ports, held = table.ports, table.held
        hits: list[int] = []
        for at in inside:
            if at < len(held):
                hits += held[at]
            else:
                ports = table.names[at - len(held)]
        if len(inside) > 1:
            hits.sort()
        rules = [table.rules[i] for i in hits]
        names = self._engine.port_tables[ports]
        return self._rows.number(self._maker.row(table.table, table.direction, rules, names, table.last))

    def _named(self, peers: list[int]) -> Iterator[tuple[int, Members]]:
        """(named ports, who has them) of those among some peer sets that have any."""
        union = self._engine.identities.member[peers].any(axis=0)
        who = np.flatnonzero(union & self._addressed & (self._engine.port_table_of > 0)).astype(np.int32)
        has = self._engine.port_table_of[who]
        for number in np.unique(has).tolist():
            yield number, who[has == number]

    def _set(self, peers: int) -> tuple[bool, Members]:
        found = self._sets.get(peers)
        if found is None:
            found = self._sets[peers] = self._stored(self._engine.identities.member[peers])
        return found

    def _stored(self, member: Mask) -> tuple[bool, Members]:
        """(True, those outside) for a set of more than half of everybody, else (False, those inside)."""
        inside = member & self._addressed
        wide = 2 * int(inside.sum()) > self._total
        return wide, np.flatnonzero(self._addressed & ~member if wide else inside).astype(np.int32)


def _groups(sets: Sequence[tuple[bool, Members]]) -> Iterator[tuple[list[int], list[int]]]:
    """(sets that hold them otherwise than everybody else, those identities), one group for each distinct list."""
    sizes = [len(members) for _, members in sets]
    if not sum(sizes):
        return
    who = np.concatenate([members for _, members in sets])
    order = np.argsort(who, kind="stable")
    who = who[order]
    sets_of = np.repeat(np.arange(len(sets), dtype=np.uint32), sizes)[order]
    starts = np.flatnonzero(np.append(True, who[1:] != who[:-1]))
    lengths = np.diff(np.append(starts, len(who)))
    once = starts[lengths == 1]
    yield from _in_one(who[once], sets_of[once])
    text = sets_of.tobytes()
    groups: dict[bytes, list[int]] = {}
    more = starts[lengths > 1]
    ends = more + lengths[lengths > 1]
    for identity, start, end in zip(who[more].tolist(), (more * 4).tolist(), (ends * 4).tolist(), strict=True):
        groups.setdefault(text[start:end], []).append(identity)
    for key, identities in groups.items():
        yield np.frombuffer(key, np.uint32).tolist(), identities


def _in_one(who: Members, sets_of: NDArray[np.uint32]) -> Iterator[tuple[list[int], list[int]]]:
    """The groups of those that one set alone tells apart."""
    if not len(who):
        return
    order = np.argsort(sets_of, kind="stable")
    who, sets_of = who[order], sets_of[order]
    starts = np.flatnonzero(np.append(True, sets_of[1:] != sets_of[:-1]))
    identities = who.tolist()
    for at, start, end in zip(
        sets_of[starts].tolist(), starts.tolist(), [*starts[1:].tolist(), len(identities)], strict=True
    ):
        yield [at], identities[start:end]
