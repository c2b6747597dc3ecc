"""The sock object in the kernel: attached to one cgroup, read at each tick. The only part of `sock` with I/O.

The cgroup is the root of cgroup v2 on a real node, so that every namespace is seen; a part of the tree where several
nodes share one kernel. `poll` may be called often, so that the ring does not fill up between ticks.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

import numpy as np

from eastwest.agent import iterator
from eastwest.agent.loader import LoadedObject, LoadError, load
from eastwest.agent.percpu import read_counters
from eastwest.agent.ringbuf import RingBuffer
from eastwest.agent.sock.health import COLUMNS
from eastwest.agent.sock.ledger import Ledger, Records
from eastwest.agent.sock.record import RECORD, Counter
from eastwest.model.batch import HookStatus

_SOCK_OPS: Final = 3  # BPF_CGROUP_SOCK_OPS
_MAPS: Final = ("sockets", "sock_ring", "sock_counters")
_PROGRAMS: Final = ("sock_ops", "sock_live", "sock_adopt")
RING_BYTES: Final = 1 << 19  # its pages are resident, twice: 3600 records between two polls
_VISITS: Final = 128  # at most, per tick, while the ring fills up during a visit of the live sockets


class HookRefusedError(RuntimeError):
    """This kernel, or another program on the cgroup, refused; the text is the kernel's answer."""


class SockHook:
    """Open from construction to `close`. Raises HookRefusedError."""

    def __init__(self, cgroup: Path, ring_bytes: int = RING_BYTES) -> None:
        try:
            self._object = load("sock", _MAPS, _PROGRAMS, {"sock_ring": ring_bytes})
        except LoadError as error:
            raise HookRefusedError(str(error)) from None
        self._links: list[int] = []
        try:
            self._attach(cgroup)
            self._ring = RingBuffer(self._object.maps["sock_ring"], ring_bytes)
        except OSError as error:
            self._close_descriptors()
            raise HookRefusedError(f"{cgroup}: {error.strerror}") from None
        self._lock = threading.Lock()  # guards the ring and what was read from it
        self._read: list[Records] = []
        self._ledger = Ledger()

    def _attach(self, cgroup: Path) -> None:
        programs = self._object.programs
        live = iterator.attach_iterator(programs["sock_live"], self._object.maps["sockets"])
        self._links.append(live)
        self._links.append(iterator.attach_iterator(programs["sock_adopt"]))
        cgroup_fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._links.append(iterator.attach_cgroup(programs["sock_ops"], cgroup_fd, _SOCK_OPS))
        finally:
            os.close(cgroup_fd)

    @property
    def loaded(self) -> LoadedObject:
        """Descriptors, for benchmarks and tests."""
        return self._object

    def adopt(self, netns_fd: int) -> None:
        """Follow the connections of a namespace that are older than the agent. Once per new pod: about 5 ms."""
        iterator.in_namespace(netns_fd, lambda: iterator.run(self._links[1]))

    def poll(self) -> int:
        """Take what is in the ring; how many records."""
        with self._lock:
            return self._drain()

    def collect(self) -> Records:
        """Increments (dtype INCREMENT) since the last call: every live connection that changed, every closed one."""
        with self._lock:
            for _ in range(_VISITS):
                before = self.counters()["deferred"]
                iterator.run(self._links[0])
                self._drain()
                if self.counters()["deferred"] == before:
                    break
            read, self._read = self._read, []
        return self._ledger.take(np.concatenate(read) if read else np.empty(0, RECORD))

    def counters(self) -> dict[str, int]:
        """What the kernel part lost, deferred and followed, and what the ledger forgot; totals."""
        return read_counters(self._object.maps["sock_counters"], Counter) | {"forgotten": self._ledger.forgotten}

    def close(self) -> None:
        """Detach. Callback flags stay on open sockets: they cost nothing when no program is attached."""
        self._ring.close()
        self._close_descriptors()

    def _drain(self) -> int:
        records = self._ring.read_fixed(RECORD)
        if records.size:
            self._read.append(records)
        return records.size

    def _close_descriptors(self) -> None:
        for link in self._links:
            os.close(link)
        self._links.clear()
        self._object.close()


def open_or_status(cgroup: Path) -> tuple[SockHook | None, HookStatus]:
    """The hook when the kernel takes it, and what to report either way."""
    try:
        hook = SockHook(cgroup)
    except HookRefusedError as error:
        return None, HookStatus("sock_ops", "refused", str(error), COLUMNS)
    return hook, HookStatus("sock_ops", "on", None, COLUMNS)
