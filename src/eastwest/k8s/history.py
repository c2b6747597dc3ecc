"""The versions of one Kubernetes object over time, from events that may come a little out of order."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import Any

from eastwest.k8s.ipindex import FOREVER
from eastwest.k8s.raw import RawObject
from eastwest.k8s.sources import VALID_FROM, VALID_TO, Event, EventType


@dataclass(slots=True)
class Version:
    """What an object was within [from_ns, to_ns). `parsed` is the typed value, made at most once."""

    raw: RawObject
    from_ns: int
    to_ns: int = FOREVER
    parsed: Any = None

    def valid_at(self, at_ns: int) -> bool:
        return self.from_ns <= at_ns < self.to_ns

    def valid_within(self, start_ns: int, end_ns: int) -> bool:
        """Whether it was in force at any moment of [start_ns, end_ns)."""
        return self.from_ns < end_ns and start_ns < self.to_ns


@dataclass(slots=True)
class History:
    """One object's events, kept in the order of their time (then of their arrival)."""

    events: list[Event] = field(default_factory=list)
    _versions: list[Version] | None = None

    def add(self, event: Event) -> bool:
        """Take an event in; False when it changes nothing anyone asks for (a heartbeat, a repetition)."""
        same = next((e for e in reversed(self.events) if e.at_ns <= event.at_ns), None)
        if same is not None and (same.type is EventType.DELETED) == (event.type is EventType.DELETED):
            repeated = event.type is EventType.DELETED or essence(same.object) == essence(event.object)
            if repeated:
                return False
        insort(self.events, event, key=lambda e: e.at_ns)
        self._versions = None
        return True

    @property
    def versions(self) -> list[Version]:
        """Disjoint versions, oldest first."""
        if self._versions is None:
            self._versions = []
            for event in self.events:
                if self._versions:
                    last = self._versions[-1]
                    last.to_ns = min(last.to_ns, event.at_ns)
                if event.type is not EventType.DELETED:
                    self._versions.append(Version(event.object, event.at_ns))
            self._versions = [v for v in self._versions if v.from_ns < v.to_ns]
        return self._versions

    def forget(self, before_ns: int) -> None:
        """Drop what ended before a moment."""
        kept = [v for v in self.versions if v.to_ns > before_ns]
        first = kept[0].from_ns if kept else FOREVER
        self.events = [e for e in self.events if e.at_ns >= first]
        self._versions = kept


def essence(raw: RawObject) -> Any:
    """What of an object anybody here reads: everything but bookkeeping and, but for a pod's readiness, conditions."""
    metadata, status = raw.metadata, raw.body.get("status")
    annotations = metadata.get("annotations")
    return (
        metadata.get("labels"),
        metadata.get("ownerReferences"),
        {k: v for k, v in annotations.items() if k not in (VALID_FROM, VALID_TO)}
        if isinstance(annotations, dict)
        else None,
        {k: v for k, v in raw.body.items() if k not in ("metadata", "status")},
        {k: status[k] for k in ("phase", "podIP", "podIPs", "addresses", "loadBalancer") if k in status}
        if isinstance(status, dict)
        else None,
        readiness(raw),
    )


def readiness(raw: RawObject) -> list[dict[str, Any]]:
    """A pod's condition Ready without its times: a list of one, or of none where nothing says, or it is being deleted."""
    status = raw.body.get("status") if "deletionTimestamp" not in raw.metadata else None
    conditions = status.get("conditions") if raw.kind == "Pod" and isinstance(status, dict) else None
    return [
        {"type": "Ready", "status": c["status"]}
        for c in (conditions if isinstance(conditions, list) else ())
        if isinstance(c, dict) and c.get("type") == "Ready" and "status" in c
    ]
