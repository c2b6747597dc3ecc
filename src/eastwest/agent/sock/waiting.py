"""Connections whose pod is not known yet wait for it: a pod may connect before anybody can say whose namespace it is.

Pure but for the time it is given. What waited in vain belongs to no pod (the node itself, a host-network pod): it is handed
out as such when that is wanted, else counted.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.sock.ledger import INCREMENT

Increments = NDArray[Any]

PATIENCE_NS: Final = 10_000_000_000
"""As long as an interface waits for its pod (`interfaces.HOLD_S`)."""

MAX_WAITING: Final = 65_536

HELD: Final = np.dtype([("since_ns", "<u8"), ("increment", INCREMENT)])


class Waiting:
    """Owned by the tick thread. `strangers`: hand out what belongs to no pod."""

    def __init__(self, *, strangers: bool = False) -> None:
        self._strangers = strangers
        self._held: list[tuple[int, Increments]] = []  # (since when, CLOCK_MONOTONIC; increments)
        self.left_out = 0  # increments of connections of no pod

    def sort(self, increments: Increments, pods: Collection[int], node_netns: int, now_ns: int) -> Increments:
        """Those that can be recorded now, older ones included. `pods`: inodes of the namespaces that are known."""
        known = np.append(np.sort(np.fromiter(pods, np.uint32, len(pods))), np.uint32(0))  # no inode is 0
        if not self._held and _named(increments, known).all():
            return increments
        ready: list[Increments] = []
        still: list[tuple[int, Increments]] = []
        room = MAX_WAITING
        for since_ns, part in [*self._held, (now_ns, increments)]:
            named = _named(part, known)
            ready.append(part[named])
            hopeless = ~named & (part["netns"] == node_netns)
            if now_ns - since_ns >= PATIENCE_NS or len(part) > room:
                hopeless = ~named
            ready.append(self._nobodys(part[hopeless]))
            rest = part[~named & ~hopeless]
            if len(rest):
                still.append((since_ns, rest))
                room -= len(rest)
        self._held = still
        return np.concatenate(ready)

    def dump(self, limit_bytes: int) -> tuple[bytes, int]:
        """Those that wait, for a successor's `load`, and how many did not fit."""
        held = np.zeros(sum(len(part) for _, part in self._held), HELD)
        at = 0
        for since_ns, part in self._held:
            held["since_ns"][at : at + len(part)], held["increment"][at : at + len(part)] = since_ns, part
            at += len(part)
        fitting = held[: limit_bytes // HELD.itemsize]
        return fitting.tobytes(), len(held) - len(fitting)

    def load(self, raw: bytes) -> None:
        held = np.frombuffer(raw, HELD)
        self._held = [
            (int(since_ns), held["increment"][held["since_ns"] == since_ns])
            for since_ns in sorted(set(held["since_ns"].tolist()))
        ]

    def _nobodys(self, part: Increments) -> Increments:
        if self._strangers:
            return part
        self.left_out += len(part)
        return part[:0]


def _named(part: Increments, known: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which are of a namespace that is known, (n,). `known` is sorted, but for a 0 at its end."""
    # numpy.isin would load numpy.ma: 10 MiB on every node
    return np.asarray(known[np.searchsorted(known[:-1], part["netns"])] == part["netns"])
