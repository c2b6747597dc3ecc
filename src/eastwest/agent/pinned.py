"""Which of the flow object's maps a predecessor left that can be used again, and what is done with those that cannot.

Counters of packets stand in three groups of maps that only mean something together: the connections (their sizes are the
operator's to change), the books, and what a plan became (the layout of each decides).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import bpf
from eastwest.agent.abi import DRAIN, RECORD
from eastwest.agent.bpffs import Layout, PinFolder, map_layout
from eastwest.agent.journal import Journal

CONNECTIONS: Final = ("flows", "overflow", "records")
BOOKS: Final = ("interfaces", "held", "listeners", "epoch")
NOT_PINNED: Final = ("scratch", "hints")  # hold nothing that a successor needs
DRAIN_PROGRAM: Final = "prog_ew_drain"


@dataclass(slots=True)
class Leftover:
    """Connection maps of another size, with the drain program that belongs to them."""

    program: int
    maps: dict[str, int]

    def drain(self, which: int, number: int, now_ns: int) -> list[NDArray[Any]]:
        """Every record of one set. Nothing writes there any more."""
        entries = map_layout(self.maps["records"]).entries
        memory, records = bpf.map_memory(self.maps["records"], entries, RECORD)
        argument = np.zeros(1, DRAIN)
        d = argument[0]
        d["set"], d["tick"], d["limit"], d["now_ns"] = which, number, entries, now_ns
        found = []
        while True:
            bpf.run_syscall_program(self.program, argument)
            found.append(records[: d["records"]].copy())
            if not d["full"]:
                break
        del records
        memory.close()
        return found

    def close(self) -> None:
        for fd in (self.program, *self.maps.values()):
            os.close(fd)


class PinnedMaps:
    """Between a folder of pins and the loader. Without a folder it finds nothing and keeps nothing."""

    def __init__(self, pins: PinFolder | None, journal: Journal) -> None:
        self._pins, self._journal = pins, journal
        self._reused: dict[str, int] = {}
        self.leftover: Leftover | None = None

    def choose(self, wanted: Mapping[str, Layout]) -> dict[str, int]:
        """Descriptors to use instead of new maps; they stay ours. Raises OSError."""
        self.release()
        if self._pins is None:
            return {}
        found = {n: fd for n in wanted if n not in NOT_PINNED and (fd := self._pins.open(f"map_{n}")) is not None}
        fitting = {name for name, fd in found.items() if map_layout(fd) == wanted[name]}
        if self._journal.adopted and not fitting.issuperset(BOOKS):
            self._journal.renew()
        if not self._journal.adopted:
            fitting.difference_update(BOOKS, CONNECTIONS)
        elif not fitting.issuperset(CONNECTIONS):
            fitting.difference_update(CONNECTIONS)
            self._set_aside({n: os.dup(found[n]) for n in CONNECTIONS if n in found})
        for name, fd in found.items():
            if name in fitting:
                self._reused[name] = fd
            else:
                os.close(fd)
        return self._reused

    def _set_aside(self, maps: dict[str, int]) -> None:
        assert self._pins is not None
        program = self._pins.open(DRAIN_PROGRAM)
        if program is None or len(maps) < len(CONNECTIONS):
            for fd in maps.values():
                os.close(fd)
            return
        self.leftover = Leftover(program, maps)

    @property
    def reused(self) -> frozenset[str]:
        return frozenset(self._reused)

    def keep(self, maps: Mapping[str, int], drain_program: int) -> None:
        """Pin what is new, in place of what it replaces. Raises PinError."""
        if self._pins is None:
            return
        for name, fd in maps.items():
            if name not in self._reused and name not in NOT_PINNED:
                self._pins.pin(f"map_{name}", fd)
        self._pins.pin(DRAIN_PROGRAM, drain_program)
        self._journal.keep()

    def release(self) -> None:
        """Close what was chosen from; the loaded object holds its own descriptors."""
        for fd in self._reused.values():
            os.close(fd)
        self._reused = {}
        if self.leftover is not None:
            self.leftover.close()
            self.leftover = None
