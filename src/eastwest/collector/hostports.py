"""Which host-network pod a port of a node is: as the node's own agent saw its socket, else as the pod declares it.

A host-network pod has its node's address, so only the port tells it. Pods of one node that claim the same port at the same
time are told apart by nobody: the end stays the node, and says so. Nothing here loops over rows, only over distinct ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eastwest.k8s.naming import HostPod, Naming

Ints = NDArray[np.int64]
Key = tuple[str, bytes, int, int]
"""(node, 16 bytes of address, IP protocol, port)."""

SOCKET: Final = "host_socket"
DECLARED: Final = "host_port"
SHARED: Final = "host_port_shared"
MAX_SEEN: Final = 65_536
"""Sockets remembered; the oldest are forgotten first."""


class HostPorts:
    """What is known of nodes' ports. For one thread."""

    def __init__(self) -> None:
        self._seen: dict[Key, dict[str, None]] = {}  # pod UIDs that a node's agent saw serving there
        self._pods: dict[str, HostPod] = {}
        self._declared: dict[tuple[str, int, int], list[HostPod]] = {}

    def take(self, naming: Naming) -> None:
        """A new answer book: whose pods there are, and what they declare."""
        self._pods = {pod.uid: pod for pod in naming.host_pods}
        self._declared = {}
        for pod in naming.host_pods:
            for protocol, port in pod.ports:
                self._declared.setdefault((pod.node, protocol, port), []).append(pod)

    def is_host_pod(self, uid: str) -> bool:
        return uid in self._pods

    def learn(self, seen: Iterable[tuple[Key, str]]) -> None:
        """A node's agent recorded (where, UID): a socket of that pod was the server."""
        for key, uid in seen:
            self._seen.setdefault(key, {})[uid] = None
        while len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]

    def find(self, key: Key, first_ns: int, last_ns: int, *, declared: bool) -> tuple[int, str] | None:
        """(index of the end, how it is known) of who serves at `key` in that time; the index is -1 where several claim it.
        `declared`: what pods declare counts, too."""
        node, _, protocol, port = key
        seen = [self._pods[uid] for uid in self._seen.get(key, ()) if uid in self._pods]
        found = _one(_alive(seen, first_ns, last_ns), SOCKET)
        if found is None and declared:
            found = _one(_alive(self._declared.get((node, protocol, port), ()), first_ns, last_ns), DECLARED)
        return found


def _alive(pods: Sequence[HostPod], first_ns: int, last_ns: int) -> list[HostPod]:
    return [p for p in pods if p.from_ns <= last_ns and first_ns < p.to_ns]


def _one(pods: list[HostPod], how: str) -> tuple[int, str] | None:
    ends = {pod.end for pod in pods}
    if len(ends) > 1:
        return -1, SHARED
    return (ends.pop(), how) if ends else None


def each_distinct(
    columns: Sequence[NDArray[np.generic]],
    first_ns: Ints,
    last_ns: Ints,
    ask: Callable[[int, int, int], tuple[int, str] | None],
) -> list[tuple[NDArray[np.intp], tuple[int, str]]]:
    """`ask(row, first_ns, last_ns)` once for rows that agree in all `columns`; what it found, with all of those rows."""
    if not len(first_ns):
        return []
    codes = np.zeros(len(first_ns), np.int64)
    for column in columns:
        code = np.unique(column, return_inverse=True)[1].reshape(-1)
        codes = np.unique(codes * (int(code.max()) + 1) + code, return_inverse=True)[1].reshape(-1)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    found = []
    for rows in np.split(order, starts[1:]):
        answer = ask(int(rows[0]), int(first_ns[rows].min()), int(last_ns[rows].max()))
        if answer is not None:
            found.append((rows, answer))
    return found
