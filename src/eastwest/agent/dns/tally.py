"""Lookups of one window added up: per pod, server, name and outcome; and per pod for metrics. Pure, bounded.

Only what a pod asked itself counts as its question; what a DNS server's pod was asked is kept apart (`from_pod`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from eastwest.agent.dns.transactions import Lookup
from eastwest.model.histogram import BOUNDS_US, BUCKETS

OTHER: Final = "__other__"
"""Stands for the names beyond the limit: every count is still there, under this name."""

RCODES: Final = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
NO_ANSWER: Final = "no_answer"

_BOUNDS: Final = np.asarray(BOUNDS_US)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked whom for what, and how it ended. `rcode` None: no answer came."""

    ifindex: int
    from_pod: bool
    server: bytes
    server_port: int
    tcp: bool
    name: str
    type: int
    rcode: int | None

    @property
    def outcome(self) -> str:
        """NOERROR, NXDOMAIN …, a number without a name (IANA), or `no_answer`."""
        return NO_ANSWER if self.rcode is None else RCODES.get(self.rcode, str(self.rcode))


@dataclass(slots=True)
class Amount:
    lookups: int = 0
    retries: int = 0
    latency_count: int = 0
    latency_sum_us: int = 0
    latency_max_us: int = 0
    histogram: list[int] = field(default_factory=lambda: [0] * BUCKETS)  # model.histogram

    def add(self, lookup: Lookup) -> None:
        self.lookups += 1
        self.retries += lookup.retries
        if lookup.latency_ns is not None:
            latency_us = lookup.latency_ns // 1000
            self.latency_count += 1
            self.latency_sum_us += latency_us
            self.latency_max_us = max(self.latency_max_us, latency_us)
            self.histogram[int(_BOUNDS.searchsorted(latency_us, side="right"))] += 1

    def merge(self, other: Amount) -> None:
        self.lookups += other.lookups
        self.retries += other.retries
        self.latency_count += other.latency_count
        self.latency_sum_us += other.latency_sum_us
        self.latency_max_us = max(self.latency_max_us, other.latency_max_us)
        self.histogram = [a + b for a, b in zip(self.histogram, other.histogram, strict=True)]


class DnsTally:
    """One window. `max_names`: distinct `Asked` before names become OTHER (about 500 bytes each)."""

    def __init__(self, max_names: int = 4096) -> None:
        self._max_names = max_names
        self._amounts: dict[Asked, Amount] = {}
        self.folded = 0  # lookups whose name became OTHER

    def add(self, lookup: Lookup) -> None:
        key = _key(lookup, lookup.name)
        amount = self._amounts.get(key)
        if amount is None:
            if len(self._amounts) >= self._max_names:
                self.folded += 1
                key = _key(lookup, OTHER)
            amount = self._amounts.setdefault(key, Amount())
        amount.add(lookup)

    def __iter__(self) -> Iterator[tuple[Asked, Amount]]:
        return iter(self._amounts.items())

    def by_pod(self) -> dict[tuple[int, str], Amount]:
        """(interface, outcome) -> amount, of the questions that pods asked."""
        pods: dict[tuple[int, str], Amount] = {}
        for asked, amount in self._amounts.items():
            if asked.from_pod:
                pods.setdefault((asked.ifindex, asked.outcome), Amount()).merge(amount)
        return pods


def _key(lookup: Lookup, name: str) -> Asked:
    return Asked(
        ifindex=lookup.ifindex,
        from_pod=lookup.from_pod,
        server=lookup.server,
        server_port=lookup.server_port,
        tcp=lookup.tcp,
        name=name,
        type=0 if name is OTHER else lookup.type,
        rcode=lookup.rcode,
    )
