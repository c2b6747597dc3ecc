"""Keeps the enforcement settings: one file in the server's data directory, one object that changes it, and who is told.

A change is on disk before anybody hears of it. A file that cannot be read stops the server from starting: guessing "off"
would open what was closed.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from eastwest.enforce.modes import Setting, Snapshot
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode, Posture
from eastwest.policy.posture import Postures
from eastwest.runtime.files import replace_file

log = logging.getLogger(__name__)

FILE: Final = "enforcement.json"
VERSION: Final = 1

Listener = Callable[[Snapshot], None]


class SettingsError(ValueError):
    """A settings file that cannot be used; the message says where and what to do."""


class EnforcementSettings:
    """Safe for several threads: `_lock` guards the file and everything mutable. Readers never wait for the disk."""

    def __init__(self, data: Path) -> None:
        """Reads `data`/enforcement.json, or begins with everything off. Raises SettingsError."""
        self.path = data / FILE
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._snapshot = read(self.path)

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called after every change, in the changing thread, in order; it must not block or change."""
        with self._lock:
            self._listeners.append(listener)

    def set(
        self, namespace: str, mode: Mode, direction: Direction | None = None, nodes: Iterable[str] | None = None
    ) -> Snapshot:
        """As `Snapshot.with_mode`; None = both directions, every node. Raises ValueError, OSError."""
        return self.change(lambda now: now.with_mode(namespace, mode, direction, nodes))

    def set_posture(self, change: Callable[[Postures], Postures]) -> Snapshot:
        """Change the postures, for instance by `lambda p: p.with_namespace("shop", Posture.DENY)`."""
        return self.change(lambda now: replace(now, postures=change(now.postures)))

    def replace(self, snapshot: Snapshot) -> Snapshot:
        """Take over all of `snapshot` but its revision."""
        return self.change(lambda _: snapshot)

    def change(self, make: Callable[[Snapshot], Snapshot]) -> Snapshot:
        """One change, whole or not at all: computed from the present, written, then told. The new snapshot.

        `make` runs under the lock and may raise: nothing has changed then. A change to the same is none.
        """
        with self._lock:
            before = self._snapshot
            after = replace(make(before), revision=before.revision + 1)
            if replace(after, revision=before.revision) == before:
                return before
            write(self.path, after)
            self._snapshot = after
            for listener in self._listeners:
                try:
                    listener(after)
                except Exception:
                    log.exception("telling of new enforcement settings")
        return after


def read(path: Path) -> Snapshot:
    """The snapshot in a file; everything off where there is none. Raises SettingsError."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Snapshot()
    except OSError as error:
        raise SettingsError(f"{path}: enforcement settings cannot be read: {error}") from error
    try:
        return from_json(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{path}: enforcement settings are damaged ({type(error).__name__}: {error}); put a copy back, or move the "
            "file away to begin with everything off"
        ) from error


def write(path: Path, snapshot: Snapshot) -> None:
    """Replace the file at once: a crash leaves the old or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(to_json(snapshot), indent=1))


def to_json(snapshot: Snapshot) -> dict[str, Any]:
    """As it stands in the file."""
    postures = snapshot.postures
    return {
        "version": VERSION,
        "revision": snapshot.revision,
        "modes": [
            {"namespace": namespace, "direction": str(direction), "mode": str(s.mode)}
            | ({"nodes": {name: str(mode) for name, mode in s.nodes}} if s.nodes else {})
            for (namespace, direction), s in snapshot.modes
        ],
        "posture": {
            "cluster": str(postures.cluster),
            "namespaces": {name: str(p) for name, p in postures.namespaces},
            "nodes": {group: str(p) for group, p in postures.nodes},
        },
    }


def from_json(document: Any) -> Snapshot:
    """The inverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']!r}, this server knows {VERSION}")
    modes: dict[tuple[str, Direction], Setting] = {}
    for entry in document["modes"]:
        found = Setting(Mode(entry["mode"]))
        for node, mode in entry.get("nodes", {}).items():
            found = found.narrowed((str(node),), Mode(mode))
        modes[str(entry["namespace"]), Direction(entry["direction"])] = found
    posture = document["posture"]
    postures = Postures(Posture(posture["cluster"]))
    for name, value in posture["namespaces"].items():
        postures = postures.with_namespace(name, Posture(value))
    for group, value in posture["nodes"].items():
        postures = postures.with_nodes(group, Posture(value))
    return Snapshot(int(document["revision"]), tuple(sorted(modes.items(), key=lambda item: item[0])), postures)
