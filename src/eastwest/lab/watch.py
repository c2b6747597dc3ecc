"""The lab's Kubernetes objects, and the append-only log of every change to them: what the API server would keep.

A change is in the log, flushed, before `put` and `remove` return, so that it can be made before it takes effect on the
wire.
"""

from __future__ import annotations

import copy
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

Json = dict[str, Any]
Key = tuple[str, str, str]
CLUSTER_SCOPED: Final = frozenset(("Namespace", "Node", "ClusterNetworkPolicy", "PersistentVolume", "StorageClass"))


def key_of(body: Json) -> Key:
    """(kind, namespace, name); namespace "" for what has none."""
    meta = body["metadata"]
    return body["kind"], meta.get("namespace", ""), meta["name"]


def rfc3339(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Objects:
    """Every object that exists now, by key. Values handed out are the store's own: change them through `put` only."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("ab", buffering=0)
        self._objects: dict[Key, Json] = {}
        self._version = 0
        self.changed_ns = 0  # when the newest line was written

    def put(self, body: Json) -> Json:
        """Create or replace one object; uid and creationTimestamp stay. Returns what is now stored.

        Nothing is logged when nothing but the resourceVersion would change.
        """
        key = key_of(body)
        old = self._objects.get(key)
        new = copy.deepcopy(body)
        meta = new["metadata"]
        now = time.time_ns()
        if old is not None:
            meta["uid"] = old["metadata"]["uid"]
            meta["creationTimestamp"] = old["metadata"]["creationTimestamp"]
            meta["resourceVersion"] = old["metadata"]["resourceVersion"]
            if new == old:
                return old
        else:
            meta.setdefault("uid", str(uuid.uuid4()))
            meta["creationTimestamp"] = rfc3339(now)
        self._version += 1
        meta["resourceVersion"] = str(self._version)
        self._objects[key] = new
        self._write("ADDED" if old is None else "MODIFIED", now, new)
        return new

    def remove(self, key: Key) -> Json | None:
        """Delete one object; None when it was not there."""
        old = self._objects.pop(key, None)
        if old is not None:
            self._version += 1
            old["metadata"]["resourceVersion"] = str(self._version)
            self._write("DELETED", time.time_ns(), old)
        return old

    def close(self) -> None:
        """Close the log; nothing can be changed any more."""
        self._log.close()

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        return self._objects.get((kind, namespace, name))

    def of(self, kind: str, namespace: str | None = None) -> Iterator[Json]:
        """Every object of a kind, in a namespace or in all; safe to change the store meanwhile."""
        for (k, ns, _), body in list(self._objects.items()):
            if k == kind and (namespace is None or ns == namespace):
                yield body

    def owned_by(self, kind: str, uid: str) -> list[Json]:
        """The objects of a kind whose controller has this uid."""
        return [b for b in self.of(kind) if owner_uid(b) == uid]

    def _write(self, type_: str, at_ns: int, body: Json) -> None:
        self.changed_ns = at_ns
        line = json.dumps({"type": type_, "at_ns": at_ns, "object": body}, separators=(",", ":"))
        self._log.write(line.encode() + b"\n")


def owner_uid(body: Json) -> str | None:
    """The uid of the controller that owns an object."""
    for reference in body["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return str(reference["uid"])
    return None


def owner_reference(owner: Json) -> Json:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
