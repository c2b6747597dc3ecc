"""Pod names for metric labels. The kernel gives a pod's UID; its namespace and name are learned from

1. the kubelet's log directories, /var/log/pods/<namespace>_<name>_<uid> (pkg/kubelet/kuberuntime, BuildPodLogsDirectory), or
2. the server's answer to GET /ingest/v1/names?node=…, a table of the node's pods.

The agent still never talks to the Kubernetes API. Nothing is invented: a pod nobody named keeps empty labels.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

POD_LOGS: Final = Path("/var/log/pods")
NAMES_PATH: Final = "/ingest/v1/names"

PodName = tuple[str, str]
"""(namespace, pod name)."""


class PodNames:
    """UID -> name, for one node. Thread-safe: the shipping thread learns, the tick reads."""

    def __init__(self, pod_logs: Path = POD_LOGS) -> None:
        self._pod_logs = pod_logs
        self._names: dict[str, PodName] = {}  # guarded by _lock
        self._lock = threading.Lock()

    def get(self, pod_uid: str) -> PodName | None:
        """None while nobody has named the pod."""
        with self._lock:
            return self._names.get(pod_uid)

    def learn(self, names: Iterable[tuple[str, str, str]]) -> None:
        """Remember (uid, namespace, name) rows. A UID names one pod for ever, so nothing is overwritten."""
        with self._lock:
            for uid, namespace, name in names:
                self._names.setdefault(uid, (namespace, name))

    def read_pod_logs(self) -> None:
        """Look into the kubelet's log directories; a machine without them is fine."""
        try:
            entries = [entry.name.split("_") for entry in self._pod_logs.iterdir()]
        except OSError:
            return
        self.learn((e[2], e[0], e[1]) for e in entries if len(e) == 3)

    def keep(self, pod_uids: Iterable[str]) -> None:
        """Forget all others."""
        wanted = set(pod_uids)
        with self._lock:
            self._names = {uid: name for uid, name in self._names.items() if uid in wanted}


def parse_names(body: bytes) -> list[tuple[str, str, str]]:
    """The server's answer: {"pods": [[uid, namespace, name], …]}. Raises ValueError for anything else."""
    answer = json.loads(body)
    rows = answer.get("pods") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise ValueError("names: expected an object with a list of pods")
    for row in rows:
        if not (isinstance(row, list) and len(row) == 3 and all(isinstance(word, str) for word in row)):
            raise ValueError(f"names: expected [uid, namespace, name], not {row!r}")
    return [(row[0], row[1], row[2]) for row in rows]
