"""The cluster over time: events in; who held an address when (`naming`), and the whole cluster at any moment, out.

`Source`s feed it; the collector asks `naming()` for whole columns, the API and the bundle ask `state_at` and `versions`.
Safe for several threads: `_lock` guards everything mutable, and what is handed out is immutable.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eastwest.k8s.history import History, Version
from eastwest.k8s.ipindex import FOREVER, Ints
from eastwest.k8s.manifests import Known, Problem, parse
from eastwest.k8s.naming import Naming, naming_of
from eastwest.k8s.raw import RawObject
from eastwest.k8s.services import NODE_ADDRESSES
from eastwest.k8s.sources import Event, Identity, Source, identity
from eastwest.k8s.workloads import TERMINATED
from eastwest.model.cluster import ClusterState


@dataclass(frozen=True, slots=True)
class Present:
    """The cluster as last heard of. problems: what of it could not be read. latest_ns: the newest event of any kind, also
    one that changed nothing that is read."""

    state: ClusterState
    problems: tuple[Problem, ...]
    revision: int
    latest_ns: int


class Inventory:
    """Everything the sources reported, as intervals."""

    def __init__(self, sources: Iterable[Source] = ()) -> None:
        self._sources = tuple(sources)
        self._lock = threading.RLock()
        self._histories: dict[Identity, History] = {}
        self._revision = 0
        self._latest_ns = 0
        self._node_addresses: dict[str, tuple[str, ...]] = {}
        self._naming: Naming | None = None
        self._state: tuple[tuple[int, int], ClusterState] | None = None
        self._known = Known()

    @property
    def problems(self) -> list[Problem]:
        """What the sources could not read."""
        return [problem for source in self._sources for problem in source.problems]

    @property
    def revision(self) -> int:
        """Grows whenever anything changed."""
        return self._revision

    @property
    def latest_ns(self) -> int:
        """When the newest event happened, by the cluster's clock."""
        return self._latest_ns

    def files(self) -> list[Path]:
        """Files that change when a source has something new."""
        return [path for source in self._sources for path in source.files()]

    def present(self) -> Present:
        """What was heard last, whatever the clocks say. Objects that did not change are not read again."""
        with self._lock:
            raws = [self._whole(h.versions[-1]) for h in self._histories.values() if _stands(h)]
            state, problems = parse(raws, self._known)
            return Present(state, tuple(problems), self._revision, self._latest_ns)

    def poll(self) -> int:
        """Ask every source; the number of events that changed something."""
        return sum(self.fold(source.poll()) for source in self._sources)

    def fold(self, events: Iterable[Event]) -> int:
        """Take events in; the number of those that changed something."""
        changed = 0
        with self._lock:
            for event in events:
                history = self._histories.setdefault(identity(event.object), History())
                changed += history.add(event)
                self._latest_ns = max(self._latest_ns, event.at_ns)
            if changed:
                self._revision += 1
                self._naming = self._state = None
        return changed

    def learn_node_addresses(self, node: str, addresses: Sequence[str]) -> None:
        """What a node's agent says its own interfaces hold. The addresses become part of the Node object."""
        with self._lock:
            if self._node_addresses.get(node, ()) == tuple(addresses):
                return
            self._node_addresses[node] = tuple(addresses)
            for history in (h for (kind, *_), h in self._histories.items() if kind == "Node"):
                for version in history.versions:
                    version.parsed = None
            self._revision += 1
            self._naming = self._state = None

    def _tellers(self, address: str) -> int:
        """How many nodes say an address is theirs. Bridges often carry the same one everywhere: it names nobody."""
        return sum(address in told for told in self._node_addresses.values())

    def _whole(self, version: Version) -> RawObject:
        """An object as it stands, a Node with the addresses that its agent told."""
        raw = version.raw
        told = self._node_addresses.get(raw.name) if raw.kind == "Node" else None
        told = tuple(t for t in told or () if self._tellers(t) == 1)
        if not told:
            return raw
        metadata = dict(raw.metadata)
        metadata["annotations"] = {**(metadata.get("annotations") or {}), NODE_ADDRESSES: " ".join(told)}
        return replace(raw, body={**raw.body, "metadata": metadata})

    def forget(self, before_ns: int) -> None:
        """Drop every version that ended before a moment (the store's retention)."""
        with self._lock:
            for key, history in list(self._histories.items()):
                history.forget(before_ns)
                if not history.versions:
                    del self._histories[key]
            self._revision += 1
            self._naming = self._state = None

    def versions(self, start_ns: int, end_ns: int) -> list[Version]:
        """Every version that was in force at any moment of [start_ns, end_ns), in a stable order."""
        with self._lock:
            found = [
                (key, v) for key, h in self._histories.items() for v in h.versions if v.valid_within(start_ns, end_ns)
            ]
        return [replace(v, raw=self._whole(v)) for _, v in sorted(found, key=lambda item: (item[0], item[1].from_ns))]

    def pod_lives(self, start_ns: int, end_ns: int) -> dict[str, list[tuple[int, int]]]:
        """Of each pod's UID the intervals in which it was there, cut to [start_ns, end_ns)."""
        lives: dict[str, list[tuple[int, int]]] = {}
        for version in self.versions(start_ns, end_ns):
            if version.raw.kind == "Pod":
                interval = (max(version.from_ns, start_ns), min(version.to_ns, end_ns))
                lives.setdefault(str(version.raw.metadata.get("uid")), []).append(interval)
        return lives

    def state_at(self, at_ns: int) -> ClusterState:
        """The whole cluster at one moment."""
        with self._lock:
            key = (self._revision, min(at_ns, self._latest_ns))
            if self._state is None or self._state[0] != key:
                raws = [self._whole(v) for h in self._histories.values() for v in h.versions if v.valid_at(at_ns)]
                self._state = (key, parse(raws)[0])
            return self._state[1]

    def state_within(self, start_ns: int, end_ns: int) -> ClusterState:
        """Everything that was there at any moment of [start_ns, end_ns): of each object its last version in force, of
        each pod its last one that was not terminated. What evidence of a window is judged against."""
        raws = []
        with self._lock:
            for (kind, *_), history in self._histories.items():
                found = [v for v in history.versions if v.valid_within(start_ns, end_ns)]
                if kind == "Pod":
                    found = [v for v in found if _phase(v) not in TERMINATED]
                if found:
                    raws.append(self._whole(found[-1]))
        return parse(raws)[0]

    def naming(self) -> Naming:
        """The present answer book; made anew only after a change."""
        with self._lock:
            if self._naming is None:
                self._naming = naming_of(self._histories, self._whole, self._node_addresses)
            return self._naming

    def resolve(self, ips: NDArray[np.uint8], first_ns: Ints, last_ns: Ints) -> Ints:
        """`Naming.resolve` of the present answer book."""
        return self.naming().resolve(ips, first_ns, last_ns)


def _stands(history: History) -> bool:
    """Whether the object exists, as far as was heard."""
    return bool(history.versions) and history.versions[-1].to_ns == FOREVER


def _phase(version: Version) -> object:
    status = version.raw.body.get("status")
    return status.get("phase") if isinstance(status, dict) else None
