"""What the kernel has added up of closed connections, by edge: taken once per window, and deleted once that is handed over.

Connections that close are added up under a number (`sock_windows.adding`). Whoever owns that moves it on, waits for the
programs that may still use the one before, and then asks for what is there; nothing is added under an old number any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import batchmap, bpf
from eastwest.agent.sock.record import SUM, SUM_KEY

Sums = NDArray[Any]
SUMS: Final = batchmap.entry_dtype(SUM_KEY, SUM)
"""One edge, fields `key` and `value`."""

_CHUNK: Final = 1024  # entries per call, 200 KiB


class SumsMap:
    """The map `sock_sums`. `told`: the last number that a predecessor handed over."""

    def __init__(self, map_fd: int, told: int) -> None:
        self._fd = map_fd
        self._told = told
        self._spent = np.empty(0, SUM_KEY)  # taken; deleted once their window is handed over

    def take(self, before: int) -> Sums:
        """What was added under numbers below `before` and not taken yet, dtype SUMS (n,). An edge may be there twice."""
        there = batchmap.read(self._fd, SUM_KEY, SUM, _CHUNK)
        number = there["key"]["window"]
        self._spent = there["key"][number < before]
        taken = there[(number < before) & (number > self._told)]
        self._told = before - 1
        return taken

    def commit(self) -> None:
        """What was taken last was handed over."""
        batchmap.remove(self._fd, self._spent)
        self._spent = self._spent[:0]


class PodsMap:
    """The map `sock_pods`: whose closed connections are added up."""

    def __init__(self, map_fd: int) -> None:
        self._fd = map_fd
        self._known: dict[int, int] | None = None

    def tell(self, ifindex_of: Mapping[int, int]) -> None:
        """Inode of a pod's namespace -> its interface. Who is not there has a record sent for each closed connection."""
        if ifindex_of == self._known:
            return
        known = self._known
        if known is None:  # what a predecessor left
            known = {int(netns): 0 for netns in bpf.keys(self._fd, np.dtype("<u4"))}
        for netns in known.keys() - ifindex_of.keys():
            bpf.delete(self._fd, netns.to_bytes(4, "little"))
        for netns, ifindex in ifindex_of.items() - known.items():
            bpf.update(self._fd, netns.to_bytes(4, "little"), ifindex.to_bytes(4, "little"))
        self._known = dict(ifindex_of)
