"""All pairs of identities: for one source at a time, the ports it may reach at every destination, as ids of port sets.

The same tiers as in `segments`, on whole rows of peers instead of one: sparse updates where a rule's peers are, so the
cost follows the rules, not the pairs. No reasons here. Property tests hold both forms against the reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from eastwest.model.flow import Direction
from eastwest.policy.engine import Engine
from eastwest.policy.identities import Ids
from eastwest.policy.ports import PortIds, PortSet, PortTable
from eastwest.policy.rules import Rule
from eastwest.policy.tables import RuleTable


class PairRows:
    """Rows have shape (n_identities,), ids in `ports`. Made on demand, one per distinct rule table."""

    def __init__(self, engine: Engine) -> None:
        self.ports = PortTable()
        self._engine = engine
        self._n = len(engine.identities)
        self._members: dict[int, Ids] = {}
        self._egress: dict[int, PortIds] = {}
        self._starts_open = PortTable.EVERYTHING
        self._starts_allowed = PortTable.NOTHING
        if engine.options.icmp == "allow":
            self._starts_allowed = self.ports.id(PortSet(other=True))
            self._starts_open = self.ports.id(self.ports.sets[1] - PortSet(other=True))

    def row(self, src: int) -> PortIds:
        """What identity `src` may reach, both sides considered."""
        return self.ports.intersection(self.egress(src), self._ingress[self._ingress_row, src])

    def egress(self, src: int) -> PortIds:
        """What the egress side of `src` allows towards every identity."""
        table = int(self._engine.table_of[Direction.EGRESS][src])
        if table not in self._egress:
            self._egress[table] = self._side(self._engine.tables[Direction.EGRESS][table], None)
        return self._egress[table]

    def ingress(self, dst: int) -> PortIds:
        """What the ingress side of `dst` allows from every identity."""
        row: PortIds = self._ingress[self._ingress_row[dst]]
        return row

    @cached_property
    def _behaviours(self) -> tuple[list[tuple[int, int]], Ids]:
        """Distinct (ingress table, named ports), and which of them each identity has."""
        tables, ports = self._engine.table_of[Direction.INGRESS], self._engine.port_table_of
        seen: dict[tuple[int, int], int] = {}
        of = [seen.setdefault(key, len(seen)) for key in zip(tables.tolist(), ports.tolist(), strict=True)]
        return list(seen), np.asarray(of, np.int32)

    @property
    def _ingress_row(self) -> Ids:
        return self._behaviours[1]

    @cached_property
    def _ingress(self) -> PortIds:
        rows = [self._side(self._engine.tables[Direction.INGRESS][t], p) for t, p in self._behaviours[0]]
        return np.stack(rows)

    def _peers(self, rule: Rule) -> Ids:
        if rule.peers not in self._members:
            self._members[rule.peers] = self._engine.rule_peers(rule)
        return self._members[rule.peers]

    def _rule_ports(self, rule: Rule, peers: Ids, subject_ports: int | None) -> PortIds | int:
        """The rule's ports towards each peer; for ingress the destination is the subject, whose names are known."""
        if not rule.ports.named:
            return self.ports.id(rule.ports.numbers)
        names = self._engine.port_tables
        if subject_ports is not None:
            return self.ports.id(rule.ports.resolve(names[subject_ports]))
        of_table = np.asarray([self.ports.id(rule.ports.resolve(n)) for n in names], np.int32)
        return of_table[self._engine.port_table_of[peers]]

    def _side(self, table: RuleTable, subject_ports: int | None) -> PortIds:
        open_ = np.full(self._n, self._starts_open, np.int32)
        allowed = np.full(self._n, self._starts_allowed, np.int32)
        self._ordered(table.admin, subject_ports, open_, allowed)
        if table.isolated_by:
            granted = np.zeros(self._n, np.int32)
            for rule in table.network_policy:
                peers = self._peers(rule)
                granted[peers] = self.ports.union(granted[peers], self._rule_ports(rule, peers, subject_ports))
            return self.ports.union(allowed, self.ports.intersection(open_, granted))
        self._ordered(table.baseline, subject_ports, open_, allowed)
        return allowed if table.posture is not None else self.ports.union(allowed, open_)

    def _ordered(self, rules: Iterable[Rule], subject_ports: int | None, open_: PortIds, allowed: PortIds) -> None:
        """First match wins; updates `open_` and `allowed`. Passed ports are open again for the next tier."""
        passed = np.zeros(self._n, np.int32)
        for rule in rules:
            peers = self._peers(rule)
            taken = self.ports.intersection(open_[peers], self._rule_ports(rule, peers, subject_ports))
            open_[peers] = self.ports.difference(open_[peers], taken)
            if rule.action == "Accept":
                allowed[peers] = self.ports.union(allowed[peers], taken)
            elif rule.action == "Pass":
                passed[peers] = self.ports.union(passed[peers], taken)
        open_[:] = self.ports.union(open_, passed)
