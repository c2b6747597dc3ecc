"""Where Kubernetes objects come from, as events in time: a folder, a watch log, and later a live API.

A source only reports; `Inventory` decides what it means. Nothing here raises for bad content: it is kept in `problems`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from eastwest.k8s.raw import Problem, RawObject, load_raw

VALID_FROM: Final = "eastwest.dev/valid-from-ns"
VALID_TO: Final = "eastwest.dev/valid-to-ns"
"""Annotations of objects in a bundle: when this version of the object was in force, [from, to)."""


class EventType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Event:
    """One object appeared, changed or went away at a moment of the cluster's clock."""

    type: EventType
    object: RawObject
    at_ns: int


class Source(Protocol):
    """Something that can be asked again and again what happened since the last time."""

    problems: list[Problem]

    def poll(self) -> list[Event]:
        """New events, oldest first; empty when nothing happened. Never blocks for long, never raises."""
        ...

    def files(self) -> Iterable[Path]:
        """Files that change when there is something new, for whoever would rather wait than ask."""
        ...


Identity = tuple[str, str, str, str]


def identity(raw: RawObject) -> Identity:
    """(kind, namespace, name, uid for pods): what makes two versions the same object."""
    uid = raw.metadata.get("uid") if raw.kind == "Pod" else None
    return raw.kind, raw.scope, raw.name, uid if isinstance(uid, str) else ""


class ManifestSource:
    """A folder (or file) of manifests. Its first content holds since ever; later edits from when they are noticed."""

    def __init__(self, path: Path | str, clock_ns: Callable[[], int]) -> None:
        self.path = Path(path)
        self.problems: list[Problem] = []
        self._clock_ns = clock_ns
        self._stamp: tuple[tuple[str, int, int], ...] | None = None
        self._known: dict[Identity, RawObject] = {}

    def files(self) -> Iterable[Path]:
        return ()  # a folder of manifests is asked now and then

    def poll(self) -> list[Event]:
        stamp = _stamp(self.path)
        if stamp == self._stamp:
            return []
        at_ns = 0 if self._stamp is None else self._clock_ns()
        self._stamp = stamp
        raws, self.problems = load_raw(self.path)
        now = {identity(raw): raw for raw in raws}
        events = [Event(EventType.DELETED, raw, at_ns) for key, raw in self._known.items() if key not in now]
        for key, raw in now.items():
            known = self._known.get(key)
            if known is None or known.body != raw.body:
                events.append(Event(EventType.ADDED if known is None else EventType.MODIFIED, raw, at_ns))
        self._known = now
        return events


class WatchLogSource:
    """An append-only file of lines `{"type", "at_ns", "object"}`; a last line still being written waits."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.problems: list[Problem] = []
        self._offset = 0
        self._line = 0
        self._inode: int | None = None

    def files(self) -> Iterable[Path]:
        return (self.path,)

    def poll(self) -> list[Event]:
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._inode, self._offset, self._line = status.st_ino, 0, 0  # a new file under the old name
                file.seek(self._offset)
                block = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problems = [Problem("error", f"cannot be read: {error}", str(self.path))]
            return []
        whole = block[: block.rfind(b"\n") + 1]
        self._offset += len(whole)
        events = []
        for line in whole.splitlines():
            self._line += 1
            event = self._event(line)
            if event is not None:
                events.append(event)
        return events

    def _event(self, line: bytes) -> Event | None:
        if not line.strip():
            return None
        try:
            entry: Any = json.loads(line)
            event_type, at_ns, body = EventType(entry["type"]), entry["at_ns"], entry["object"]
            if not isinstance(at_ns, int) or not isinstance(body, dict) or not isinstance(body.get("kind"), str):
                raise ValueError("needs a whole number at_ns and an object with a kind")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self.problems.append(Problem("error", f"not a watch event: {error}", str(self.path), self._line))
            return None
        return Event(event_type, RawObject(body, str(self.path), self._line), at_ns)


@dataclass(slots=True)
class ObjectSource:
    """Given objects, once: a bundle's, whose annotations say when each version was in force (else: always)."""

    objects: Iterable[RawObject]
    problems: list[Problem] = field(default_factory=list)

    def files(self) -> Iterable[Path]:
        return ()

    def poll(self) -> list[Event]:
        objects, self.objects = self.objects, ()
        events = []
        for raw in objects:
            start, end = self._bound(raw, VALID_FROM), self._bound(raw, VALID_TO)
            events.append(Event(EventType.ADDED, raw, start or 0))
            if end is not None:
                events.append(Event(EventType.DELETED, raw, end))
        return sorted(events, key=lambda event: event.at_ns)

    def _bound(self, raw: RawObject, name: str) -> int | None:
        annotations = raw.metadata.get("annotations")
        text = annotations.get(name) if isinstance(annotations, dict) else None
        if text is None:
            return None
        try:
            return int(text)
        except (TypeError, ValueError):
            path = ("metadata", "annotations", name)
            self.problems.append(raw.problem("error", path, "must be whole nanoseconds as text"))
            return None


def _stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes when any file below `path` does."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    out = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        out.append((str(file), status.st_mtime_ns, status.st_size))
    return tuple(out)
