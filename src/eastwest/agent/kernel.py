"""The flow object in the kernel: loads it, attaches it to interfaces, drains it. Knows no pods and no records' meaning.

One drain = move the epoch on, wait until no program can write the old set, take the old set. See docs/decisions/0011.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import abi, bpf
from eastwest.agent.abi import INTERFACE, LISTENER_KEY, RECORD
from eastwest.agent.attach import Attacher, Hook, Tcx, choose, sweep
from eastwest.agent.bpffs import PinFolder, map_layout
from eastwest.agent.journal import Journal
from eastwest.agent.journal_layout import Interrupted, Predecessor
from eastwest.agent.listeners import Ports
from eastwest.agent.pinned import PinnedMaps
from eastwest.agent.sizes import Patience, PolicySizes, Sizes, chosen
from eastwest.agent.spool import HandedOver
from eastwest.agent.variants import load_best


@dataclass(slots=True)
class Drained:
    """What one drain found, besides the records: which set was taken, and the life of the map."""

    set: int
    entries: int = 0
    deleted: int = 0
    carried: int = 0
    overflow_entries: int = 0
    runs: int = 0


@dataclass(frozen=True, slots=True)
class Left:
    """What a predecessor left in the kernel, by interface index."""

    hooks: dict[int, tuple[Hook, ...]]
    counting: set[int]
    held: set[int]
    reported: dict[int, Predecessor]
    listeners: dict[int, Ports]


class FlowKernel:
    """The loaded object. Thread-safe: every method is one or more system calls without state of its own, but `drain`,
    which only the tick thread calls."""

    def __init__(
        self,
        sizes: Sizes | None = None,
        patience: Patience | None = None,
        enforcing: bool = False,
        policy: PolicySizes | None = None,
        pins: PinFolder | None = None,
        handed_over: HandedOver | None = None,
        dns_ports: tuple[int, ...] = (53,),
    ) -> None:
        """`enforcing`: the programs look at the policy maps; else that code is not there. `pins`: what a predecessor left
        there is used again, and what is new is left there. `handed_over`: the last drain known to be on disk.
        `dns_ports`: at most four; their packets are shown to whoever is lent `dns_tail`.

        Raises LoadError, OSError, ValueError."""
        self.sizes = chosen(sizes or Sizes())
        self.patience = patience or Patience()
        self.enforcing = enforcing
        self.journal = Journal(pins, abi.digest(), Path("/proc/thread-self/ns/net").stat().st_ino)
        self._pinned = PinnedMaps(pins, self.journal)
        self._object, self.hooks = load_best(
            self.sizes, (policy or PolicySizes()) if enforcing else None, dns_ports, self._pinned.choose
        )
        self.maps = self._object.maps
        self.programs = self._object.programs
        self._grace = bpf.GracePeriod()
        self._memory, self._records = bpf.map_memory(self.maps["records"], self.sizes.records, RECORD)
        self._cpus = bpf.possible_cpus()
        if self.journal.adopted and handed_over is not None and handed_over.id == self.journal.id:
            self.journal.handed_over(handed_over.number, handed_over.end_ns)
        self._pins = pins
        self._attacher: Attacher = Tcx(self.programs, pins)
        self.epoch = self._read_epoch()
        self.interrupted = self.journal.interrupted(self.epoch) if self.journal.adopted else None
        self._recovered: dict[int, list[NDArray[Any]]] = {0: [], 1: []}  # by set: records for the next drain of it
        self._recover()

    # --- interfaces ------------------------------------------------------------------------------------------------
    def add_interface(self, ifindex: int, *, held: bool) -> None:
        """Make the interface's books, before it is attached."""
        key = struct.pack("<I", ifindex)
        if held:
            bpf.update(self.maps["held"], key, bytes(4))
        bpf.update(self.maps["interfaces"], key, bytes(INTERFACE.itemsize * self._cpus))

    def counts(self, ifindex: int) -> bool:
        """Whether the interface has books."""
        return self.totals(ifindex) is not None

    def release(self, ifindex: int) -> None:
        """From the next drain on, the interface's counts are records."""
        bpf.delete(self.maps["held"], struct.pack("<I", ifindex))

    def remove_interface(self, ifindex: int) -> None:
        """Forget its books; the next drain with `purge` forgets its flows."""
        self.release(ifindex)
        bpf.delete(self.maps["interfaces"], struct.pack("<I", ifindex))

    def attach_by(self, way: str) -> None:
        """How to hook: one of `attach.WAYS`. Before anything is. Raises OSError."""
        self._attacher, statuses = choose(way, self.programs, self._pins)
        self.hooks = (*statuses, *(h for h in self.hooks if h.name != "tcx"))

    def attach(self, ifindex: int) -> tuple[Hook, ...]:
        """Hook both directions. Raises OSError (ENODEV: it is gone)."""
        return self._attacher.attach(ifindex)

    def totals(self, ifindex: int) -> NDArray[Any] | None:
        """The interface's books since it was added, summed over CPUs (one INTERFACE); None: not there.

        A drain moves what it carries over from the quiet set to the other: only the sum of both never falls.
        """
        values = np.zeros(self._cpus, INTERFACE)
        if not bpf.lookup(self.maps["interfaces"], struct.pack("<I", ifindex), values):
            return None
        words = values.view(np.uint64).reshape(self._cpus, -1)
        total: NDArray[Any] = words.sum(axis=0, dtype=np.uint64).view(INTERFACE)[0]
        return total

    def set_listeners(self, ifindex: int, ports: set[tuple[int, int]], before: set[tuple[int, int]]) -> None:
        """Replace the accepting sockets of an interface's pod; items are (protocol, port), port 0 = table was read."""
        for protocol, port in ports - before:
            bpf.update(self.maps["listeners"], _listener(ifindex, protocol, port), bytes(4))
        for protocol, port in before - ports:
            bpf.delete(self.maps["listeners"], _listener(ifindex, protocol, port))

    # --- what a predecessor left -----------------------------------------------------------------------------------
    def sweep(self) -> None:
        """Remove hooks that a predecessor made in another way than `attach_by` chose."""
        sweep(self._attacher, self.programs, self._pins)

    def left(self) -> Left:
        """Interfaces by what is left of each. Their hooks still run the predecessor's programs: `attach` swaps them."""
        word, listener = np.dtype("<u4"), LISTENER_KEY
        listeners: dict[int, Ports] = {}
        for key in bpf.keys(self.maps["listeners"], listener):
            listeners.setdefault(int(key["ifindex"]), set()).add((int(key["protocol"]), int(key["port"])))
        return Left(
            hooks=dict(self._attacher.left()),
            counting={int(i) for i in bpf.keys(self.maps["interfaces"], word)},
            held={int(i) for i in bpf.keys(self.maps["held"], word)},
            reported={p.ifindex: p for p in self.journal.predecessors()},
            listeners=listeners,
        )

    def settle(self) -> None:
        """Every hook that was left has our programs now: take what the old maps still hold, and pin our own."""
        leftover = self._pinned.leftover
        if leftover is not None:
            self._grace.wait()
            for which in (0, 1):
                number = (self.journal.number + 1 + which) & 0xFFFFFFFF or 1
                self._recovered[which] += leftover.drain(which, number, time.monotonic_ns())
        self._pinned.keep(self.maps, self.programs["ew_drain"])
        self._pinned.release()

    def _recover(self) -> None:
        """The records of a drain that nobody handed over are still where it wrote them."""
        if self.interrupted is None or not self.interrupted.records:
            return
        source = self._pinned.leftover.maps["records"] if self._pinned.leftover else self.maps["records"]
        memory, records = bpf.map_memory(source, map_layout(source).entries, RECORD)
        self._recovered[self.interrupted.quiet].append(records[: self.interrupted.records].copy())
        del records
        memory.close()

    def _read_epoch(self) -> int:
        value = np.zeros(1, "<u4")
        bpf.lookup(self.maps["epoch"], bytes(4), value)
        return int(value[0])

    # --- drain -----------------------------------------------------------------------------------------------------
    def resume(self) -> Interrupted:
        """Go on with the drain that a predecessor did not hand over: its set is quiet already."""
        interrupted, self.interrupted = self.interrupted, None
        assert interrupted is not None
        self.journal.resume()
        return interrupted

    def turn(self) -> int:
        """Move the epoch on and wait for the programs that run; returns the set that is quiet now."""
        quiet = self.epoch & 1
        self.epoch = (self.epoch + 1) & 0xFFFFFFFF
        self.journal.begin(self.epoch)
        bpf.update(self.maps["epoch"], bytes(4), struct.pack("<I", self.epoch))
        self._grace.wait()
        return quiet

    def drain(
        self,
        quiet: int,
        each: Callable[[NDArray[Any]], None],
        *,
        carry: bool = True,
        purge: bool = False,
        hold: bool = False,
    ) -> Drained:
        """Take the quiet set: `each` gets the records in chunks, as a view that is valid only during the call.

        After `turn` or `resume`; the window counts as handed over when the journal is told to commit.
        """
        drained = Drained(quiet)
        recovered, self._recovered[quiet] = self._recovered[quiet], []
        for records in recovered:
            each(records)
        argument = self.journal.argument
        d = argument[0]
        d["carry_ns"] = self.patience.carry_ns if carry else 0
        d["closed_ns"], d["idle_tcp_ns"] = self.patience.closed_ns, self.patience.idle_tcp_ns
        d["idle_other_ns"] = self.patience.idle_other_ns
        d["now_ns"] = time.monotonic_ns()
        d["set"], d["tick"], d["limit"], d["purge"], d["hold"] = (
            quiet,
            self.journal.number,
            self.sizes.records,
            purge,
            hold,
        )
        while True:
            for name in ("entries", "deleted", "carried", "overflow_entries"):
                d[name] = 0
            self.journal.running()
            bpf.run_syscall_program(self.programs["ew_drain"], argument)
            drained.entries += int(d["entries"])
            drained.deleted += int(d["deleted"])
            drained.carried += int(d["carried"])
            drained.overflow_entries += int(d["overflow_entries"])
            drained.runs += 1
            if d["records"]:
                each(self._records[: d["records"]])
            if not d["full"]:
                return drained

    def close(self) -> None:
        """Let everything go; links that others hold keep their programs alive until they are closed."""
        del self._records
        self._memory.close()
        self._grace.close()
        self._pinned.release()
        self._object.close()
        self.journal.close()


def _listener(ifindex: int, protocol: int, port: int) -> bytes:
    return np.array([(ifindex, port, protocol, 0)], LISTENER_KEY).tobytes()
