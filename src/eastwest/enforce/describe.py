"""A node's plan in words: for each pod and direction, which peers may do what, and by which rule; and how two plans differ.

Reads the arrays as docs/enforcement.md says; for people who want to see a plan before, or while, it comes into force.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from eastwest.model.flow import Direction, Protocol, ip_bytes, ip_from_bytes
from eastwest.model.plan import OWN_NODE, IdentityKind, Mode, NodePlan, PlanPod, Ruling, Side
from eastwest.policy.ports import format_ranges

_NAMED: Final = {int(p): p.name for p in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)}
_OTHER: Final = "ICMP and other protocols"
EVERYBODY: Final = "everybody else"


@dataclass(frozen=True, slots=True)
class Clause:
    """`what`: protocols and ports."""

    what: str
    ruling: Ruling
    reason: str

    def __str__(self) -> str:
        return f"{self.what} {'allowed' if self.ruling is Ruling.ALLOW else 'denied'} by {self.reason}"


@dataclass(frozen=True, slots=True)
class PeerClauses:
    """What holds for some peers: pods as ns/name, addresses as CIDRs, or `EVERYBODY`."""

    peers: tuple[str, ...]
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class SideText:
    """One direction of a pod; `peers` is empty where the mode is off."""

    namespace: str
    name: str
    direction: Direction
    mode: Mode
    peers: tuple[PeerClauses, ...]

    def lines(self) -> Iterable[str]:
        """One line for each clause, complete in itself, for a diff."""
        head = f"{self.namespace}/{self.name} {self.direction} {self.mode}"
        if not self.peers:
            yield head
        word = "from" if self.direction is Direction.INGRESS else "to"
        for group in self.peers:
            for peer in group.peers:
                yield from (f"{head} {word} {peer}: {clause}" for clause in group.clauses)


class Description:
    """Describes one plan. names: pods of the cluster by canonical address text."""

    def __init__(self, plan: NodePlan, names: Mapping[str, str]) -> None:
        self.plan = plan
        self._names = names
        self._clauses: dict[int, tuple[Clause, ...]] = {}

    def sides(self) -> list[SideText]:
        """Every pod, both directions, sorted by name."""
        pods = sorted(self.plan.pods, key=lambda p: (p.namespace, p.name))
        return [self._side(p, d, p.ingress if d is Direction.INGRESS else p.egress) for p in pods for d in Direction]

    def lines(self) -> list[str]:
        return [line for side in self.sides() for line in side.lines()]

    def _side(self, pod: PlanPod, direction: Direction, side: Side) -> SideText:
        if side.mode is Mode.OFF:
            return SideText(pod.namespace, pod.name, direction, side.mode, ())
        groups: dict[int, list[str]] = {}
        mine = self.plan.cells[self.plan.cells["table"] == side.table]
        for identity, row in zip(mine["identity"].tolist(), mine["row"].tolist(), strict=True):
            groups.setdefault(row, []).extend(self._who.get(identity, ()))
        peers = [
            PeerClauses(tuple(sorted(set(who))), self._row(row))
            for row, who in sorted(groups.items(), key=lambda item: sorted(item[1]))
            if who
        ]
        return SideText(
            pod.namespace, pod.name, direction, side.mode, (*peers, PeerClauses((EVERYBODY,), self._row(side.row)))
        )

    @cached_property
    def _who(self) -> dict[int, list[str]]:
        """Names of each identity."""
        out: dict[int, list[str]] = {}
        for row in self.plan.identities:
            if int(row["identity"]) == OWN_NODE:
                continue
            address, length = ip_from_bytes(row["address"].tobytes()), int(row["length"])
            bits = length - 96 if address.version == 4 else length
            text = str(ipaddress.ip_network((address, bits)))
            if int(row["kind"]) == IdentityKind.POD:
                text = self._names.get(str(address), text)
            out.setdefault(int(row["identity"]), []).append(text)
        return out

    def _row(self, number: int) -> tuple[Clause, ...]:
        if number not in self._clauses:
            entries = self.plan.ports[self.plan.ports["row"] == number]
            self._clauses[number] = tuple(self._clause(e) for e in _partition(entries.tolist()))
        return self._clauses[number]

    def _clause(self, part: tuple[str, int, int]) -> Clause:
        what, ruling, reason = part
        found = self.plan.reasons[reason]
        return Clause(what, Ruling(ruling), found.key if found.policy else found.text or found.key)


def _partition(entries: list[tuple[int, ...]]) -> list[tuple[str, int, int]]:
    """(protocols and ports, ruling, reason) of a row; what is the same everywhere is said once, last."""
    by_length = sorted(entries, key=lambda e: e[4])
    whole = next((e[5], e[1]) for e in by_length if e[4] == 0)
    spaces: dict[int, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
    for _, reason, port, protocol, length, ruling, *_ in by_length:
        if length == 0:
            continue
        space = spaces.setdefault(protocol, np.full(1 << 16, whole[0] << 32 | whole[1], np.int64))
        width = 1 << (16 - (length - 8)) if protocol else 1 << 16
        space[port : port + width] = ruling << 32 | reason
    texts: dict[int, list[str]] = {}
    for protocol, space in sorted(spaces.items(), key=lambda item: (item[0] == 0, item[0])):
        cuts = np.flatnonzero(np.append(True, space[1:] != space[:-1])).tolist()
        ranges: dict[int, list[tuple[int, int]]] = {}
        for low, high in zip(cuts, [*cuts[1:], 1 << 16], strict=True):
            ranges.setdefault(int(space[low]), []).append((max(low, 1), high - 1))
        for code, found in ranges.items():
            name = _NAMED.get(protocol, _OTHER)
            if code != whole[0] << 32 | whole[1]:
                all_ports = protocol == 0 or found == [(1, 65535)]
                texts.setdefault(code, []).append(name if all_ports else f"{name} {format_ranges(tuple(found))}")
    parts = [(", ".join(words), code >> 32, code & 0xFFFFFFFF) for code, words in texts.items()]
    return [*parts, ("everything else" if parts else "everything", *whole)]


def names_of(pods: Iterable[tuple[str, str, tuple[str, ...]]]) -> dict[str, str]:
    """`Description.names` from (namespace, name, addresses)."""
    return {str(ip_from_bytes(ip_bytes(ip))): f"{ns}/{name}" for ns, name, addresses in pods for ip in addresses}


def difference(old: Description | None, new: Description) -> tuple[list[str], list[str]]:
    """(lines gone, lines come), in order; everything has come when there was nothing."""
    before = old.lines() if old is not None else []
    after = new.lines()
    was, now = set(before), set(after)
    return [line for line in before if line not in now], [line for line in after if line not in was]
