"""The sock object in the kernel: attached to one cgroup, read at each tick. The only part of `sock` with I/O.

The cgroup is the root of cgroup v2 on a real node, so that every namespace is seen; a part of the tree where several
nodes share one kernel. `poll` may be called often, so that the ring does not fill up between ticks.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from eastwest.agent import bpf, bpffs, iterator
from eastwest.agent.handover import Handover
from eastwest.agent.loader import LoadedObject, LoadError, load
from eastwest.agent.percpu import read_counters
from eastwest.agent.ringbuf import RingBuffer
from eastwest.agent.sock.health import COLUMNS
from eastwest.agent.sock.ledger import Ledger, Records
from eastwest.agent.sock.record import RECORD, SUM, SUM_KEY, Counter, Flag
from eastwest.agent.sock.sums import SUMS, PodsMap, Sums, SumsMap
from eastwest.model.batch import HookStatus

_SOCK_OPS: Final = 3  # BPF_CGROUP_SOCK_OPS
_MAPS: Final = ("sockets", "sock_ring", "sock_counters", "sock_windows", "sock_pods", "sock_sums")
_LINK: Final = "link_sock_ops"
PINS: Final = (_LINK, *(f"map_{name}" for name in _MAPS))
_PROGRAMS: Final = ("sock_ops", "sock_live", "sock_adopt")
_POSITION: Final = struct.Struct("<QI")
SUMS_ENTRIES: Final = 16_384
"""Edges of two windows: the one that is counted, and the one that is being handed over."""
RING_BYTES: Final = 1 << 19  # its pages are resident, twice: 3400 records between two polls
_VISITS: Final = 128  # at most, per tick, while the ring fills up during a visit of the live sockets


class HookRefusedError(RuntimeError):
    """This kernel, or another program on the cgroup, refused; the text is the kernel's answer."""


class SockHook:
    """Open from construction to `close`. Raises HookRefusedError."""

    def __init__(
        self,
        cgroup: Path,
        ring_bytes: int = RING_BYTES,
        handover: Handover | None = None,
        flows: int | None = None,
        sums: int = SUMS_ENTRIES,
    ) -> None:
        """With a `handover` that has pins, it goes on where the predecessor's last window ended. `flows`: the flow object's map;
        with it connections are added up by edge when they close, see `of_pods`. `sums`: edges that there is room for."""
        self._handover = handover or Handover()
        maps = self._handover.maps(_MAPS)
        try:
            self._object = load(
                "sock",
                _MAPS,
                _PROGRAMS,
                {"sock_record": RECORD, "sock_sum_key": SUM_KEY, "sock_sum": SUM},
                {"sock_ring": ring_bytes, "sock_sums": sums, **({"flows": 1} if flows is None else {})},
                shared={"flows": flows} if flows is not None else None,
                choose=maps.choose,
            )
        except LoadError as error:
            maps.release()
            raise HookRefusedError(str(error)) from None
        self.resumed = maps.reused
        self._number = self._committed = self._handover.committed
        self._life = int.from_bytes(os.urandom(4), "little")
        self._links: list[int] = []
        left = self._handover.left("sock_position") if self.resumed else b""
        position, told = _POSITION.unpack(left or bytes(_POSITION.size))
        self._adding = self._left_adding() or 1 if flows is not None else 0
        self._sums = SumsMap(self._object.maps["sock_sums"], told)
        self._pods = PodsMap(self._object.maps["sock_pods"])
        self._added_up = np.empty(0, SUMS)
        self._grace = bpf.GracePeriod()
        try:
            self._ring = RingBuffer(self._object.maps["sock_ring"], ring_bytes, keep=self._handover.pins is not None)
            if self.resumed:
                self._ring.skip(position)
            self._write_windows()
            maps.keep(self._object.maps)
            self._attach(cgroup)
        except (OSError, bpffs.PinError) as error:
            self._close_descriptors()
            raise HookRefusedError(f"{cgroup}: {getattr(error, 'strerror', error)}") from None
        self._lock = threading.Lock()  # guards the ring and what was read from it
        self._read: list[Records] = []
        self._collected = self._ring.position
        self._ledger = Ledger()
        self._kept = 0  # last records that are still in the ring, too

    def _attach(self, cgroup: Path) -> None:
        programs = self._object.programs
        live = iterator.attach_iterator(programs["sock_live"], self._object.maps["sockets"])
        self._links.append(live)
        self._links.append(iterator.attach_iterator(programs["sock_adopt"]))
        cgroup_fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._links.append(self._hook(programs["sock_ops"], cgroup_fd))
        finally:
            os.close(cgroup_fd)

    def _hook(self, program: int, cgroup_fd: int) -> int:
        """A predecessor's link with our program in it, or a new one."""
        pins = self._handover.pins
        left = pins.open(_LINK) if pins is not None and self.resumed else None
        if left is not None:
            if bpffs.link_cgroup(left) == os.fstat(cgroup_fd).st_ino:
                bpffs.update_link(left, program)
                return left
            os.close(left)
        link = iterator.attach_cgroup(program, cgroup_fd, _SOCK_OPS)
        if pins is not None:
            try:
                pins.pin(_LINK, link)
            except bpffs.PinError:
                os.close(link)
                raise
        return link

    def _write_windows(self) -> None:
        words = struct.pack("<4I", self._number, self._committed, self._life, self._adding)
        bpf.update(self._object.maps["sock_windows"], bytes(4), words)

    def _left_adding(self) -> int:
        windows = np.zeros(4, "<u4")
        bpf.lookup(self._object.maps["sock_windows"], bytes(4), windows)
        return int(windows[3])

    def of_pods(self, ifindex_of: Mapping[int, int]) -> None:
        """Connections of these pods (inode of the namespace -> interface) are added up from now on, of others no more."""
        if self._adding:
            self._pods.tell(ifindex_of)

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

    @property
    def waiting(self) -> int:
        """Records that were read and not handed out."""
        return sum(part.size for part in self._read)

    def closed(self) -> Records:
        """Increments (dtype INCREMENT) of what `poll` has read: connections that closed. The live ones wait for `collect`."""
        with self._lock:
            read, self._read = self._read, []
        return self._increments(read)

    def collect(self, number: int | None = None) -> Records:
        """Increments (dtype INCREMENT) since the last call: every live connection that changed, every closed one.

        They are for window `number`; without one they count as handed over when the next are asked for.
        """
        with self._lock:
            if number is None:
                self._committed, number = self._number, self._number + 1
                self._sums.commit()
            self._number = number
            self._adding += self._adding > 0
            self._write_windows()
            for _ in range(_VISITS):
                before = self.counters()["deferred"]
                iterator.run(self._links[0])
                self._drain()
                if self.counters()["deferred"] == before:
                    break
            read, self._read = self._read, []
            self._collected = self._ring.position
            if self._adding:
                self._grace.wait()  # until no program adds to the window that has ended
                self._added_up = self._sums.take(self._adding)
        return self._increments(read)

    @property
    def added_up(self) -> Sums:
        """What the kernel had added up of closed connections when `collect` was called (dtype SUMS): beside what it returned."""
        return self._added_up

    @property
    def position(self) -> bytes:
        """Up to where the ring and the sums were read for the last window."""
        return _POSITION.pack(self._collected, max(0, self._adding - 1))

    def commit(self) -> None:
        """What was collected last was handed over."""
        with self._lock:
            self._committed = self._number
            self._write_windows()
            self._ring.release_up_to(self._collected)
            self._sums.commit()
            self._kept = 0

    def counters(self) -> dict[str, int]:
        """What the kernel part lost, deferred and followed, and what the ledger forgot; totals."""
        return read_counters(self._object.maps["sock_counters"], Counter) | {"forgotten": self._ledger.forgotten}

    def close(self) -> None:
        """Detach. Callback flags stay on open sockets: they cost nothing when no program is attached."""
        self._ring.close()
        self._close_descriptors()

    def _increments(self, read: list[Records]) -> Records:
        return self._ledger.take(np.concatenate(read) if read else np.empty(0, RECORD), self._handover.committed)

    def _drain(self) -> int:
        records = self._ring.read_fixed(RECORD)
        if records.size:
            self._read.append(records)
            self._kept += int(((records["flags"] & Flag.CLOSED) != 0).sum())
        if self._ring.crowded:
            self._handover.risk("sock", self._kept)  # live connections will be told again
            self._kept = 0
            self._ring.release()
        return records.size

    def _close_descriptors(self) -> None:
        for link in self._links:
            os.close(link)
        self._links.clear()
        self._grace.close()
        self._object.close()


def open_or_status(
    cgroup: Path, handover: Handover | None = None, flows: int | None = None
) -> tuple[SockHook | None, HookStatus]:
    """The hook when the kernel takes it, and what to report either way."""
    try:
        hook = SockHook(cgroup, handover=handover, flows=flows)
    except HookRefusedError as error:
        return None, HookStatus("sock_ops", "refused", str(error), COLUMNS)
    return hook, HookStatus("sock_ops", "on", None, COLUMNS)
