"""Policies proposed for a range of the server's own records; the newest few answers are kept, for three routes ask alike."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from eastwest.model.cluster import ClusterState
from eastwest.policy import Options
from eastwest.policy.evidence_columns import group
from eastwest.policy.proposal import Proposal, propose
from eastwest.policy.watch import watched
from eastwest.store.protocol import Store
from eastwest.store.questions import Range, Records

KEPT: Final = 4
Key = tuple[Any, ...]


class InventoryView(Protocol):
    """The cluster's objects over time."""

    @property
    def revision(self) -> int:
        """Grows whenever anything changed."""

    def state_at(self, at_ns: int) -> ClusterState:
        """The whole cluster at one moment."""

    def state_within(self, start_ns: int, end_ns: int) -> ClusterState:
        """Everything that was there at any moment of [start_ns, end_ns)."""

    def pod_lives(self, start_ns: int, end_ns: int) -> dict[str, list[tuple[int, int]]]:
        """Of each pod's UID the intervals in which it was there."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A proposal and the range it was learnt from."""

    range: Range
    proposal: Proposal


def learn(
    store: Store,
    inventory: InventoryView,
    range_: Range,
    coverage: Mapping[str, Any] | None,
    namespace: str | None,
    options: Options | None = None,
) -> Learned:
    """Read the records of a range and propose. Seconds for millions of records. options: the engine's, with the postures."""
    window = (range_.start_ns, range_.end_ns)
    now = inventory.state_at(range_.end_ns - 1)
    cluster = replace(
        inventory.state_within(*window),
        network_policies=now.network_policies,
        cluster_network_policies=now.cluster_network_policies,
    )
    evidence = group(store.ask(Records(range_)), cluster, *window)
    watches = watched(inventory.pod_lives(*window), cluster, coverage, range_.start_ns)
    return Learned(range_, propose(cluster, evidence, watches, namespace, options))


@dataclass(slots=True)
class Kept:
    """The newest few answers by key. `_lock` guards them, and lets equal questions wait for one answer."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _answers: OrderedDict[Key, Learned] = field(default_factory=OrderedDict)

    def get(self, key: Key, make: Callable[[], Learned]) -> Learned:
        with self._lock:
            found = self._answers.pop(key, None) or make()
            self._answers[key] = found
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
            return found
