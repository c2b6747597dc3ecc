"""Which name an address was looked up by: learned from answers, bounded, with age and provenance. Pure.

The name kept is the one that was asked for, not the last of a chain of aliases: it is the one people know. A pod's own
question decides before another pod's, because many names share an address behind a CDN.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from eastwest.agent.dns.message import AAAA, A
from eastwest.agent.dns.transactions import Lookup

_K = TypeVar("_K")


class Provenance(StrEnum):
    """Who asked for the name."""

    POD = "dns_pod"  # this very pod
    NODE = "dns_node"  # another pod of this node


@dataclass(frozen=True, slots=True)
class Named:
    """What an address is called. Ages count from the newest answer that said so; `fresh`: within its TTL."""

    name: str
    age_ns: int
    fresh: bool
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class _Known:
    name: str
    learned_ns: int
    ttl_ns: int


@dataclass(slots=True)
class Names:
    """`max_entries` bounds each of the two tables (about 250 bytes an entry); the least lately learned go first."""

    max_entries: int = 16_384
    evicted: int = 0
    _by_pod: dict[tuple[int, bytes], _Known] = field(default_factory=dict)
    _by_node: dict[bytes, _Known] = field(default_factory=dict)

    def learn(self, lookup: Lookup) -> None:
        """Take a lookup's addresses. Only what a pod asked itself teaches, not what it was asked."""
        if not lookup.from_pod:
            return
        learned_ns = lookup.asked_ns + (lookup.latency_ns or 0)
        for answer in lookup.answers:
            if answer.type in (A, AAAA) and answer.address is not None:
                known = _Known(lookup.name, learned_ns, answer.ttl_s * 1_000_000_000)
                self._put(self._by_pod, (lookup.ifindex, answer.address), known)
                self._put(self._by_node, answer.address, known)

    def find(self, ifindex: int, address: bytes, now_ns: int) -> Named | None:
        """The name of `address` (16 bytes) for the pod at `ifindex`; None when nobody asked for it."""
        known = self._by_pod.get((ifindex, address))
        provenance = Provenance.POD
        if known is None:
            known = self._by_node.get(address)
            provenance = Provenance.NODE
        if known is None:
            return None
        age_ns = max(0, now_ns - known.learned_ns)
        return Named(known.name, age_ns, age_ns <= known.ttl_ns, provenance)

    def forget_pod(self, ifindex: int) -> None:
        """An interface went away; its number may come back as another pod's."""
        for key in [key for key in self._by_pod if key[0] == ifindex]:
            del self._by_pod[key]

    def __len__(self) -> int:
        return len(self._by_pod)

    def _put(self, table: dict[_K, _Known], key: _K, known: _Known) -> None:
        table.pop(key, None)  # a dict keeps the order of insertion: the newest last
        if len(table) >= self.max_entries:
            del table[next(iter(table))]
            self.evicted += 1
        table[key] = known
