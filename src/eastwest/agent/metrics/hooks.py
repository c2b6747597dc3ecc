"""DNS and drops of one window as increments of pod counters. Pure; knows the hooks' results, not the hooks.

A window's tables are small (per pod and outcome, per pod and reason), so they are walked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.dns.tally import Amount
from eastwest.agent.metrics import families as m
from eastwest.runtime.openmetrics import Family

PodOf = Mapping[int, str | None]
"""Interface index -> UID of its pod."""


@dataclass(frozen=True, slots=True)
class Increment:
    """What one pod adds to one counter; for a histogram `amount` is its buckets, not cumulative, and `total` their sum."""

    family: Family
    pod_uid: str | None
    amount: NDArray[Any]  # shape (1,), or (1, buckets)
    labels: tuple[str, ...] = ()
    total: float = 0.0


def of_dns(by_pod: Mapping[tuple[int, str], Amount], pod_of: PodOf) -> Iterator[Increment]:
    """`by_pod` is (interface, outcome) -> amount, of the questions that pods asked (`DnsTally.by_pod`)."""
    for (ifindex, outcome), amount in by_pod.items():
        uid, lookups = pod_of.get(ifindex), np.array([amount.lookups])
        yield Increment(m.DNS_REQUESTS, uid, lookups)
        if outcome != "NOERROR":
            yield Increment(m.DNS_ERRORS, uid, lookups, (outcome,))
        if amount.latency_count:
            yield Increment(m.DNS_LATENCY, uid, np.array([amount.histogram]), total=amount.latency_sum_us / 1e6)


def of_drops(
    ifindexes: Iterable[int], reasons: Iterable[int], packets: Iterable[int], pod_of: PodOf, name: Callable[[int], str]
) -> Iterator[Increment]:
    """One row per kind of drop, in parallel; interface 0 is no pod's and is left to the node. `name` names a reason."""
    for ifindex, reason, count in zip(ifindexes, reasons, packets, strict=True):
        if ifindex:
            yield Increment(m.DROPS, pod_of.get(ifindex), np.array([count]), (name(reason),))
