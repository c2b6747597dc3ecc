"""The kernel's policy tables: two sets, of which one is in force. Fills the other one, and switches. One thread only.

Nothing is written to a set that a program may read: after a switch the old set rests for a grace period. A set that does
not fit is not switched to. What a set holds is remembered, so filling it costs what differs.
"""

from __future__ import annotations

import logging
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from eastwest.agent import bpf
from eastwest.agent.bpffs import map_layout
from eastwest.agent.loader import StaleObjectError
from eastwest.agent.policy import abi, setmap
from eastwest.agent.policy.entries import ENTRY, Entries, in_set
from eastwest.agent.policy.setmap import MapFullError
from eastwest.model.plan import Mode, Posture
from eastwest.wire.plan_rows import canonical, difference

log = logging.getLogger("eastwest.agent")
Wanted = Mapping[str, Entries]
"""Entries by the name of the map, canonical; every name of ENTRY."""

_LAST: Final = 0xFFFF_FFFF


class TooLargeError(Exception):
    """A set does not fit beside the one in force, which stays; the text has the figures."""


@dataclass(frozen=True, slots=True)
class Stance:
    """What holds for pods that no plan knows."""

    posture: Posture = Posture.ALLOW
    unknown_mode: Mode = Mode.OFF


class Tables:
    """`maps`: descriptors by name, which stay their owner's. `limits`: entries of each map, both sets together."""

    def __init__(self, maps: Mapping[str, int], limits: Mapping[str, int]) -> None:
        """Raises StaleObjectError where the maps' entries have other sizes than ours."""
        self._maps, self.limits = maps, limits
        _require_same_sizes(maps)
        self._memory = mmap.mmap(maps["policy_state"], mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._state = np.frombuffer(self._memory, np.uint64, 1)
        self.generation = int(self._state.view(abi.POLICY_STATE)["generation"][0])
        """What is in force in the kernel; 0: nothing. Its set is the one with its parity."""
        self._held: list[dict[str, Entries] | None] = [self._read(0), self._read(1)]
        self._grace = bpf.GracePeriod()
        self._rested = False  # whether the inactive set has rested since the switch (or since a former process)
        self.written = 0  # entries put or removed, since start

    @property
    def current(self) -> int:
        return self.generation & 1

    def holds(self, name: str) -> int:
        """Entries of a map in the set that is in force."""
        held = self._held[self.current]
        return len(held[name]) if held is not None and self.generation else 0

    def switch(self, wanted: Wanted, stance: Stance) -> int:
        """Put `wanted` in force as a whole, and return its generation. Raises TooLargeError, OSError: nothing changed."""
        self._fits(wanted)
        other = 1 - self.current
        self.rest()
        held = self._held[other]
        if held is None:
            held = self._read(other)
        self._held[other] = None  # until it is whole
        try:
            for name in ENTRY:
                self._change(name, other, held[name], wanted[name])
        except MapFullError as error:
            raise TooLargeError(f"the kernel has no room for the new set: {error}") from None
        self._held[other] = dict(wanted)
        self._flip(self._next(), stance)
        return self.generation

    def set_links(self, before: set[int], now: set[int]) -> None:
        """Replace the interfaces known not to be pods'; they have no sets. Raises OSError."""
        for ifindex in now - before:
            bpf.update(self._maps["links"], struct.pack("<I", ifindex), struct.pack("<I", 1))
        for ifindex in before - now:
            bpf.delete(self._maps["links"], struct.pack("<I", ifindex))

    def links(self) -> set[int]:
        """What a former process left there."""
        return {int(k) for k in bpf.keys(self._maps["links"], np.dtype("u4"))}

    def close(self) -> None:
        """Let go; what is in force stays in the maps."""
        del self._state
        self._memory.close()
        self._grace.close()

    def _fits(self, wanted: Wanted) -> None:
        held = self._held[self.current]
        for name, entries in wanted.items():
            beside = len(held[name]) if held is not None and self.generation else 0
            if len(entries) + beside > self.limits[name]:
                raise TooLargeError(
                    f"{name}: {len(entries)} entries beside the {beside} in force, "
                    f"the table holds {self.limits[name]} for both"
                )

    def _change(self, name: str, number: int, held: Entries, wanted: Entries) -> None:
        removed, added = difference(held, wanted)
        if len(removed):
            keys, _ = in_set(removed, number)
            setmap.remove(self._maps[name], keys)
        if len(added):
            setmap.put(self._maps[name], *in_set(added, number))
        self.written += len(removed) + len(added)

    def rest(self) -> None:
        """Wait until no program uses the set that was in force; about 8 ms once after a switch, better waited early."""
        if not self._rested:
            self._grace.wait()
            self._rested = True

    def _flip(self, generation: int, stance: Stance) -> None:
        """One store of eight bytes, aligned: a program reads the old state or the new one."""
        state = np.zeros(1, abi.POLICY_STATE)
        state["generation"] = generation
        state["posture"] = abi.RULINGS.index(stance.posture.value)
        state["unknown_mode"] = abi.MODES.index(stance.unknown_mode.value)
        self._state[0] = state.view(np.uint64)[0]
        self.generation, self._rested = generation, False

    def _next(self) -> int:
        """The other set's next number; 0 is never used."""
        return self.generation + 1 if self.generation < _LAST else 2

    def _read(self, number: int) -> dict[str, Entries]:
        return {name: canonical(setmap.read(self._maps[name], entry, number)) for name, entry in ENTRY.items()}


def same(a: Wanted, b: Wanted) -> bool:
    """Whether two sets hold the same."""

    def equal(x: Any, y: Any) -> bool:
        return x is y or (len(x) == len(y) and bool(np.array_equal(x, y)))

    return all(equal(a[name], b[name]) for name in ENTRY)


def _require_same_sizes(maps: Mapping[str, int]) -> None:
    """Two bytes too few, and the kernel would read on past the end of what it is given."""
    for name, entry in ENTRY.items():
        layout, key, value = map_layout(maps[name]), entry["key"].itemsize, entry["value"].itemsize
        if (layout.key_bytes, layout.value_bytes) != (key, value):
            raise StaleObjectError(
                f"the flow object's map {name} has entries of {layout.key_bytes} and {layout.value_bytes} bytes, not {key} "
                f"and {value}: it does not belong to this version of eastwest. Build it again with `make -C bpf`, or install "
                "eastwest again"
            )
