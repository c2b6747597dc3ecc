"""Declared intent against what policies permit and what was observed: three columns that should agree.

The engine says what is permitted, for all pods of a workload at once; evidence says what was observed. Host-network
workloads are nodes: their traffic to pods of their own node can be closed by nobody, so `only` leaves them out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from eastwest.model.flow import Workload, protocol_name
from eastwest.policy.addresses import ALL_ADDRESSES, AddressSet, parse_address
from eastwest.policy.connections import AllPairs
from eastwest.policy.engine import Engine
from eastwest.policy.evidence import Evidence
from eastwest.policy.ports import NOTHING, PortSet, ports_of
from eastwest.policy.verify.intent import Ends, Intent, Kind

Outside = tuple[int, int]
"""(family, integer) of an address."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One intent: `problems` is empty when it holds. `observed`: established connections that the sentence speaks of."""

    intent: Intent
    permitted: str
    observed: int
    problems: tuple[str, ...]
    unknown: tuple[str, ...] = ()  # ends that match nothing in the cluster

    @property
    def ok(self) -> bool:
        return not self.problems and not self.unknown


@dataclass(frozen=True, slots=True)
class Edge:
    """One pair of workloads that was declared or observed."""

    src: str
    dst: str
    declared: str
    permitted: str
    observed: str
    state: str  # agrees, undeclared, blocked, denied but observed


@dataclass(frozen=True, slots=True)
class Verification:
    checked: tuple[Checked, ...]
    edges: tuple[Edge, ...]

    @property
    def ok(self) -> bool:
        return all(c.ok for c in self.checked)


def verify(engine: Engine, intents: Iterable[Intent], evidence: Evidence | None = None) -> Verification:
    """Every intent, and every pair of workloads that some intent declares or some connection used."""
    judge = _Judge(engine, evidence)
    wanted = list(intents)
    return Verification(tuple(judge.check(i) for i in wanted), tuple(judge.edges(wanted)))


class _Judge:
    def __init__(self, engine: Engine, evidence: Evidence | None) -> None:
        self._engine = engine
        self._pairs = AllPairs(engine)
        self._index = {w: i for i, w in enumerate(self._pairs.workloads)}
        self._hosts = {p.workload for p in engine.universe.pods if p.host_network}
        self._rows: dict[int, list[int]] = {}
        self._outside_sets: dict[tuple[int, bool], list[tuple[PortSet, AddressSet]]] = {}
        self.seen: defaultdict[tuple[Workload | Outside, Workload | Outside], list[tuple[PortSet, int]]] = defaultdict(
            list
        )
        if evidence is not None:
            self._observe(evidence)

    def _observe(self, evidence: Evidence) -> None:
        pods = self._engine.universe.pods
        rows = np.flatnonzero(evidence.established & evidence.directed).tolist()
        for at in rows:
            ends: list[Workload | Outside] = []
            for side in (evidence.src, evidence.dst):
                pod, outsider = int(side.pod[at]), int(side.outsider[at])
                ends.append(pods[pod].workload if pod >= 0 else parse_address(evidence.outsiders[outsider].address))
            ports = ports_of(protocol_name(int(evidence.protocol[at])), int(evidence.port[at]))
            self.seen[ends[0], ends[1]].append((ports, int(evidence.connections[at])))

    # --- permitted ------------------------------------------------------------------------------------------------

    def _between(self, src: Workload, dst: Workload) -> PortSet:
        i = self._index[src]
        if i not in self._rows:
            self._rows[i] = self._pairs.to_workloads(i).tolist()
        return self._pairs.rows.ports.sets[self._rows[i][self._index[dst]]]

    def _outside(self, workload: Workload, *, inbound: bool) -> list[tuple[PortSet, AddressSet]]:
        key = (self._index[workload], inbound)
        if key not in self._outside_sets:
            found = self._pairs.outside_sets(key[0], inbound=inbound)
            self._outside_sets[key] = [(self._pairs.rows.ports.sets[ports], addresses) for ports, addresses in found]
        return self._outside_sets[key]

    # --- one intent -----------------------------------------------------------------------------------------------

    def check(self, intent: Intent) -> Checked:
        src, dst = self._workloads(intent.src), self._workloads(intent.dst)
        unknown = tuple(
            f"no workload matches {e.text!r}"
            for e, found in ((intent.src, src), (intent.dst, dst))
            if not found and not e.addresses
        )
        problems = list(
            {Kind.MAY: self._may, Kind.ONLY: self._only, Kind.MUST_NOT: self._must_not}[intent.kind](intent, src, dst)
        )
        observed = self._observed(intent)
        if intent.kind is Kind.MUST_NOT and observed:
            problems.append(f"{observed} connections were observed")
        if intent.kind is Kind.ONLY:
            problems += self._seen_from_others(intent)
        return Checked(intent, self._permitted(intent, src, dst), observed, tuple(problems), unknown)

    def _workloads(self, ends: Ends) -> list[Workload]:
        return [w for w in self._pairs.workloads if ends.holds(w)]

    def _may(self, intent: Intent, src: list[Workload], dst: list[Workload]) -> Iterator[str]:
        for a in src:
            for b in dst:
                if a != b and not _enough(self._between(a, b), intent.ports):
                    yield f"{a} may not reach {b} on {intent.wanted if intent.ports else 'any port'}"
            if intent.dst.addresses and not _covers(self._outside(a, inbound=False), intent.dst, intent.ports):
                yield f"{a} may not reach {intent.dst.text}"
        for b in dst if intent.src.addresses else ():
            if not _covers(self._outside(b, inbound=True), intent.src, intent.ports):
                yield f"{intent.src.text} may not reach {b}"

    def _must_not(self, intent: Intent, src: list[Workload], dst: list[Workload]) -> Iterator[str]:
        yield from self._reach(src, dst, intent)
        for a in src if intent.dst.addresses else ():
            yield from _leaks(self._outside(a, inbound=False), intent.dst.addresses, intent.wanted, f"{a} may reach")
        for b in dst if intent.src.addresses else ():
            yield from _leaks(
                self._outside(b, inbound=True), intent.src.addresses, intent.wanted, f"{b} is reached from"
            )

    def _only(self, intent: Intent, src: list[Workload], dst: list[Workload]) -> Iterator[str]:
        allowed = {*src, *dst, *self._hosts}
        yield from self._reach([w for w in self._pairs.workloads if w not in allowed], dst, intent)
        rest = ALL_ADDRESSES - intent.src.addresses
        for b in dst:
            yield from _leaks(self._outside(b, inbound=True), rest, intent.wanted, f"{b} is reached from")

    def _reach(self, src: Iterable[Workload], dst: list[Workload], intent: Intent) -> Iterator[str]:
        for a in src:
            for b in dst:
                both = self._between(a, b) & intent.wanted if a != b else NOTHING
                if both:
                    yield f"{a} may reach {b} on {both}"

    def _permitted(self, intent: Intent, src: list[Workload], dst: list[Workload]) -> str:
        total = NOTHING
        for a in src:
            for b in dst:
                total = total | (self._between(a, b) if a != b else NOTHING)
            for ports, addresses in self._outside(a, inbound=False) if intent.dst.addresses else ():
                total = total | (ports if _meet(addresses, intent.dst.addresses) else NOTHING)
        return str(total & intent.wanted)

    # --- observed -------------------------------------------------------------------------------------------------

    def _observed(self, intent: Intent) -> int:
        return sum(
            count
            for (src, dst), rows in self.seen.items()
            if _holds(intent.src, src) and _holds(intent.dst, dst) and src != dst
            for ports, count in rows
            if ports & intent.wanted
        )

    def _seen_from_others(self, intent: Intent) -> Iterator[str]:
        for (src, dst), rows in sorted(self.seen.items(), key=lambda item: str(item[0])):
            if not _holds(intent.dst, dst) or _holds(intent.src, src) or src == dst or src in self._hosts:
                continue
            count = sum(count for ports, count in rows if ports & intent.wanted)
            if count and isinstance(src, Workload):
                yield f"{count} connections were observed from {src}"

    # --- the three columns ----------------------------------------------------------------------------------------

    def edges(self, intents: list[Intent]) -> Iterator[Edge]:
        declared: defaultdict[tuple[Workload, Workload], PortSet] = defaultdict(lambda: NOTHING)
        for intent in intents:
            for a in self._workloads(intent.src) if intent.kind is not Kind.MUST_NOT else ():
                for b in self._workloads(intent.dst):
                    declared[a, b] = declared[a, b] | intent.wanted
        observed: dict[tuple[Workload, Workload], PortSet] = {}
        for (src, dst), rows in self.seen.items():
            if isinstance(src, Workload) and isinstance(dst, Workload):
                for ports, _ in rows:
                    observed[src, dst] = observed.get((src, dst), NOTHING) | ports
        for a, b in sorted(declared.keys() | observed.keys()):
            if a == b:
                continue
            want, seen, can = declared.get((a, b), NOTHING), observed.get((a, b), NOTHING), self._between(a, b)
            state = "agrees"
            if seen - can:
                state = "denied but observed"
            elif seen - want:
                state = "undeclared"
            elif want and not want & can:
                state = "blocked"
            yield Edge(str(a), str(b), str(want), str(can), str(seen), state)


def _holds(ends: Ends, end: Workload | Outside) -> bool:
    if isinstance(end, Workload):
        return ends.holds(end)
    family, value = end
    return any(low <= value <= high for low, high in ends.addresses.of_family(family))


def _enough(permitted: PortSet, wanted: PortSet | None) -> bool:
    return bool(permitted) if wanted is None else not wanted - permitted


def _meet(one: AddressSet, other: AddressSet) -> AddressSet:
    return one - (one - other)


def _covers(sets: list[tuple[PortSet, AddressSet]], ends: Ends, wanted: PortSet | None) -> bool:
    """Whether every address of `ends` (of the internet: any) may be reached on the wanted ports."""
    left = ends.addresses
    for ports, addresses in sets:
        if _enough(ports, wanted):
            left = left - addresses
    return left != ends.addresses if ends.internet else not left


def _leaks(sets: list[tuple[PortSet, AddressSet]], addresses: AddressSet, wanted: PortSet, words: str) -> Iterator[str]:
    for ports, reached in sets:
        both, where = ports & wanted, _meet(reached, addresses)
        if both and where:
            cidrs = list(where.cidrs())
            more = f" and {len(cidrs) - 3} more" if len(cidrs) > 3 else ""
            yield f"{words} {', '.join(cidrs[:3])}{more} on {both}"
