"""What the hooks beside flow leave to the next agent: their maps, and how far the last window had read them.

A pinned map of two slots, written in turn before a window is handed over: the slot of the last window that was (the journal
knows which) is the truth, so a kill -9 between any two instructions neither loses nor repeats. What was taken out of the kernel
before its window was handed over is `risked`, and told as lost by the next agent if there is a next one. docs/decisions/0134.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import bpf
from eastwest.agent.bpffs import Layout, PinFolder, map_layout
from eastwest.agent.journal_layout import create

SLOT_BYTES: Final = 256 << 10
HOOKS: Final = ("sock", "drop", "dns")
_PIN: Final = "map_hooks"
_SLOT: Final = np.dtype([("number", "<u8"), ("index_bytes", "<u8")])
_HEADER: Final = np.dtype([("digest", "<u8"), ("risked", "<u8", len(HOOKS))])
_LAYOUT: Final = Layout(bpf.MAP_TYPE_ARRAY, 4, mmap.PAGESIZE, 1 + 2 * SLOT_BYTES // mmap.PAGESIZE, bpf.MMAPABLE)


class Handover:
    """Between a folder of pins and the hooks. Without a folder nothing is found and nothing is kept."""

    def __init__(self, pins: PinFolder | None = None, digest: int = 0, committed: int | None = None) -> None:
        """`digest`: of every layout of the hooks. `committed`: number of the last window that was handed over; None: there is
        no predecessor to go on from. Raises OSError."""
        self.pins = pins
        self.preceded = pins is not None and committed is not None
        """Whether there was an agent before."""
        self.committed = committed or 0
        self.lost: dict[str, int] = {}
        """By hook: records that a predecessor had taken out, and that ended with it."""
        self._left: dict[str, bytes] = {}
        self.adopted = False
        if pins is None:
            return
        found = pins.open(_PIN) if committed is not None else None
        if found is not None and map_layout(found) == _LAYOUT:
            self._map(found)
            self.adopted = int(self._header["digest"]) == digest and self._read()
        if self.adopted:
            self.lost = {name: int(n) for name, n in zip(HOOKS, self._header["risked"], strict=True) if n}
            self._header["risked"] = 0
            return
        if found is not None:
            self._let_go() if hasattr(self, "_memory") else os.close(found)
        self._map(create(_LAYOUT, b"ew_hooks"))
        self._header["digest"] = digest
        pins.pin(_PIN, self._fd)

    def _map(self, fd: int) -> None:
        self._fd = fd
        self._memory = mmap.mmap(fd, _LAYOUT.value_bytes * _LAYOUT.entries)
        self._header = np.frombuffer(self._memory, _HEADER, 1)[0]
        starts = (mmap.PAGESIZE, mmap.PAGESIZE + SLOT_BYTES)
        self._slots = [np.frombuffer(self._memory, np.uint8, SLOT_BYTES, start) for start in starts]

    def _read(self) -> bool:
        """Whether what belongs to the last window that was handed over is there; nothing does before the first."""
        if not self.committed:
            return True
        for slot in self._slots:
            head = slot[: _SLOT.itemsize].view(_SLOT)[0]
            if int(head["number"]) == self.committed:
                at = _SLOT.itemsize + int(head["index_bytes"])
                index: dict[str, list[int]] = json.loads(bytes(slot[_SLOT.itemsize : at]))
                self._left = {n: bytes(slot[at + o : at + o + size]) for n, (o, size) in index.items()}
                return True
        return False

    def left(self, name: str) -> bytes:
        """What `store` was given under this name for the last window that was handed over; empty: nothing."""
        return self._left.get(name, b"")

    def store(self, number: int, parts: Mapping[str, bytes]) -> None:
        """What a successor needs if window `number` is the last that is handed over. Before it is."""
        if self.pins is None:
            return
        index, blob = {}, b"".join(parts.values())
        at = 0
        for name, part in parts.items():
            index[name] = (at, len(part))
            at += len(part)
        text = json.dumps(index).encode()
        raw = np.frombuffer(text + blob, np.uint8)
        slot = min(self._slots, key=lambda s: int(s[: _SLOT.itemsize].view(_SLOT)[0]["number"] == self.committed))
        head = slot[: _SLOT.itemsize].view(_SLOT)[0]
        head["number"] = 0
        slot[_SLOT.itemsize : _SLOT.itemsize + len(raw)] = raw
        head["index_bytes"], head["number"] = len(text), number

    def commit(self, number: int) -> None:
        """Window `number` was handed over."""
        self.committed = number
        if self.pins is not None:
            self._header["risked"] = 0

    def risk(self, name: str, records: int) -> None:
        """So many were taken out of the kernel before their window is handed over: gone if this process is killed now."""
        if self.pins is not None and records:
            self._header["risked"][HOOKS.index(name)] += records

    def maps(self, names: Iterable[str]) -> HookMaps:
        return HookMaps(self.pins, tuple(names), adopt=self.adopted)

    def forget(self, names: Iterable[str]) -> None:
        """Unpin what a predecessor left."""
        if self.pins is not None:
            for name in names:
                self.pins.remove(name)

    def close(self) -> None:
        if self.pins is not None:
            self._let_go()

    def _let_go(self) -> None:
        del self._header, self._slots
        self._memory.close()
        os.close(self._fd)


class HookMaps:
    """One hook's maps: all of a predecessor's, or none."""

    def __init__(self, pins: PinFolder | None, names: tuple[str, ...], *, adopt: bool) -> None:
        self._pins, self._names, self._adopt = pins, names, adopt
        self._reused: dict[str, int] = {}
        self.reused = False

    def choose(self, wanted: Mapping[str, Layout]) -> dict[str, int]:
        """For `loader.load`. Raises OSError."""
        self.release()
        if self._pins is None or not self._adopt:
            return {}
        self._reused = {n: fd for n in self._names if (fd := self._pins.open(f"map_{n}")) is not None}
        self.reused = {n: map_layout(fd) for n, fd in self._reused.items()} == {n: wanted[n] for n in self._names}
        if not self.reused:
            self.release()
        return self._reused

    def keep(self, maps: Mapping[str, int]) -> None:
        """Pin what is new. Raises PinError."""
        if self._pins is not None and not self.reused:
            for name in self._names:
                self._pins.pin(f"map_{name}", maps[name])
        self.release()

    def release(self) -> None:
        """The loaded object has descriptors of its own."""
        for fd in self._reused.values():
            os.close(fd)
        self._reused = {}


def array(raw: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.frombuffer(raw, dtype).copy()
