"""Rows: what a rule table says to one kind of peer, for every protocol and port, as entries of the plan's `ports`.

A row is bytes of `PORTS` entries whose row is 0 and whose reason is a `ReasonBook` number, so equal rows are equal bytes.
The tiers are the engine's own (`policy.segments`); only the commonest case, NetworkPolicy rules of few ports, is written
here as well. Port 0, which no policy can name, is decided as by a rule without ports.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.enforce.prefixes import port_prefixes, split
from eastwest.enforce.reason_book import ReasonBook
from eastwest.enforce.reasons import of_decision
from eastwest.model.flow import Direction, Protocol
from eastwest.model.plan import PORTS, Ruling
from eastwest.policy.decision import Decision, Tier
from eastwest.policy.engine import Engine
from eastwest.policy.ports import FULL, NOTHING, PortSet, Ranges, normalize
from eastwest.policy.rules import NamedPorts, Rule
from eastwest.policy.segments import Segment, segments
from eastwest.policy.tables import RuleTable

_ENTRY: Final = struct.Struct("<IIHBBB3x")
_PAIR: Final = struct.Struct("<IIHBBB3xIIHBBB3x")
_SLOTS: Final = (int(Protocol.TCP), int(Protocol.UDP), int(Protocol.SCTP))
_WHOLE, _PROTOCOL, _PORT = 0, 8, 24
_ALLOW, _DENY = int(Ruling.ALLOW), int(Ruling.DENY)
_NARROW: Final = 256
"""Up to so many ports a range is best written as what it allows."""
assert _ENTRY.size == PORTS.itemsize

Few = tuple[tuple[int, int, int], ...]
"""(protocol, port, length) of each prefix."""
Decided = tuple[int, Ruling]
"""(number of the reason, ruling)."""


class RowMaker:
    """Makes the rows of one engine, of whose rules `book` numbers the reasons."""

    def __init__(self, engine: Engine, book: ReasonBook) -> None:
        self._book = book
        self._icmp_passes = engine.options.icmp == "allow"
        self._number_of = book.number_rules(engine.policies)
        self._of_ports: dict[PortSet, Few | None] = {}
        self._of_spec: dict[int, Few | None] = {}  # by id of a rule's ports, which the rules keep alive

    def row(self, table: RuleTable, direction: Direction, hits: Sequence[Rule], names: NamedPorts, last: int) -> bytes:
        """The row for peers that exactly `hits` of the table's rules hold, in order of evaluation.

        names: the named ports of the destination. last: the number of the isolation's reason (0 = not isolated).
        """
        if last and not self._icmp_passes:
            quick = self._few_ports(hits, names, last)
            if quick is not None:
                return quick
        return self._general(table, direction, hits, names)

    def _few_ports(self, hits: Sequence[Rule], names: NamedPorts, last: int) -> bytes | None:
        """Isolated, and all that hits is one rule of narrow ranges, or rules of single ports: the first one to name a port
        is the reason. None for anything else."""
        if len(hits) == 1:
            (rule,) = hits
            few = self._few(rule, names)
            if few is not None and len(few) == 1 and rule.tier is Tier.NETWORK_POLICY:
                ((protocol, port, length),) = few
                number = self._number_of[rule]
                return _PAIR.pack(0, last, 0, 0, _WHOLE, _DENY, 0, number, port, protocol, length, _ALLOW)
        found: dict[tuple[int, int, int], int] = {}
        for rule in hits:
            few = self._few(rule, names)
            if few is None or rule.tier is not Tier.NETWORK_POLICY:
                return None
            number = self._number_of[rule]
            for key in few:
                if key[2] != _PORT and len(hits) > 1:
                    return None  # which of two overlapping ranges came first is lost where the longest match wins
                found.setdefault(key, number)
        rest = [_ENTRY.pack(0, last, 0, 0, _WHOLE, _DENY)]
        rest += [
            _ENTRY.pack(0, n, port, protocol, length, _ALLOW) for (protocol, port, length), n in sorted(found.items())
        ]
        return b"".join(rest)

    def _few(self, rule: Rule, names: NamedPorts) -> Few | None:
        """A rule's ports as prefixes, or None where a wide range or every protocol is among them."""
        spec = rule.ports
        if not spec.named:
            try:
                return self._of_spec[id(spec)]
            except KeyError:
                found = self._of_spec[id(spec)] = _few(spec.numbers)
                return found
        ports = spec.resolve(names)
        if ports not in self._of_ports:
            self._of_ports[ports] = _few(ports)
        return self._of_ports[ports]

    def _general(self, table: RuleTable, direction: Direction, hits: Sequence[Rule], names: NamedPorts) -> bytes:
        chosen = {(r.tier, r.policy, r.index): r for r in hits}
        found = segments(
            _only(table, hits),
            direction,
            lambda rule: rule.ports.resolve(names),
            lambda _: NOTHING,
            icmp_passes=self._icmp_passes,
        )
        return encode([(s, self._decided(s.decision, chosen)) for s in found])

    def _decided(self, decision: Decision, hits: dict[tuple[Tier, str, int], Rule]) -> Decided:
        ruling = Ruling.ALLOW if decision.allowed else Ruling.DENY
        if decision.policy is not None and decision.rule is not None:
            return self._number_of[hits[decision.tier, decision.policy, decision.rule]], ruling
        return self._book.number(of_decision(decision)), ruling


def _few(ports: PortSet) -> Few | None:
    if ports.other:
        return None
    if len(ports.tcp) == 1 and not ports.udp and not ports.sctp and ports.tcp[0][0] == ports.tcp[0][1]:
        return ((_SLOTS[0], ports.tcp[0][0], _PORT),)
    out: list[tuple[int, int, int]] = []
    for protocol, slot in zip(_SLOTS, ports.slots, strict=True):
        for low, high in slot:
            if low == high:
                out.append((protocol, low, _PORT))
            elif high - low < _NARROW:
                out += [(protocol, port, _PROTOCOL + length) for port, length in split(low, high, 16)]
            else:
                return None
    return tuple(out)


def _only(table: RuleTable, hits: Sequence[Rule]) -> RuleTable:
    kept = set(hits)
    return RuleTable(
        tuple(r for r in table.admin if r in kept),
        table.isolated_by,
        tuple(r for r in table.network_policy if r in kept),
        tuple(r for r in table.baseline if r in kept),
        table.denied_by_posture,
        table.where,
    )


def encode(decided: Sequence[tuple[Segment, Decided]]) -> bytes:
    """A partition of all ports of all protocols, as entries; the fewest for this choice of defaults."""
    others = next(d for s, d in decided if s.ports.other)
    by_protocol = [_of_protocol(slot, decided) for slot in range(len(_SLOTS))]
    defaults = [default for default, _ in by_protocol]
    whole = max([*defaults, others], key=[*defaults, others].count)
    out = [_entry(whole, 0, 0, _WHOLE)]
    if others != whole:
        out.append(_entry(others, 0, 0, _PROTOCOL))
    for protocol, (default, rest) in zip(_SLOTS, by_protocol, strict=True):
        if default != whole:
            out.append(_entry(default, protocol, 0, _PROTOCOL))
        out += [_entry(d, protocol, port, _PROTOCOL + length) for d, port, length in sorted(rest)]
    return b"".join(out)


def _of_protocol(
    slot: int, decided: Sequence[tuple[Segment, Decided]]
) -> tuple[Decided, list[tuple[Decided, int, int]]]:
    """(what holds for most of the protocol, (decision, port, length) of the rest)."""
    owned: dict[Decided, Ranges] = {}
    last: Decided | None = None
    for segment, what in decided:
        ranges = segment.ports.slots[slot]
        if ranges == FULL:
            return what, []
        if ranges:
            owned[what] = normalize((*owned.get(what, ()), *ranges))
            last = what
    assert last is not None
    owned[last] = normalize((*owned[last], (0, 0)))
    prefixes = {what: port_prefixes(ranges) for what, ranges in owned.items()}
    default = max(prefixes, key=lambda what: len(prefixes[what]))
    return default, [
        (what, port, length) for what, found in prefixes.items() if what != default for port, length in found
    ]


def _entry(decided: Decided, protocol: int, port: int, length: int) -> bytes:
    return _ENTRY.pack(0, decided[0], port, protocol, length, decided[1])


def assemble(rows: Iterable[tuple[int, bytes]]) -> NDArray[Any]:
    """Rows by number as one array of `PORTS`; reasons still as numbered in the book."""
    pairs = list(rows)
    out = np.frombuffer(b"".join(content for _, content in pairs), PORTS).copy()
    numbers = np.fromiter((n for n, _ in pairs), np.uint32, len(pairs))
    lengths = np.fromiter((len(content) // PORTS.itemsize for _, content in pairs), np.int64, len(pairs))
    out["row"] = np.repeat(numbers, lengths)
    return out
