"""Connections to edges: asks the flow map, in the kernel, what each connection is recorded as. Called before each drain.

A connection is named by the 5-tuple at its pod's interface, which one connection has at a time. The answer is the key
part of the record that a drain writes, so that whatever was learned about a connection elsewhere joins its edge exactly.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import bpf
from eastwest.agent.abi import FLOW, FLOW_KEY, RECORD, RECORD_KEY_BYTES
from eastwest.agent.loader import load

SLOTS: Final = 4096
SLOT: Final = np.dtype([("key", FLOW_KEY), ("found", "<u4"), ("record", RECORD)])
assert SLOT.itemsize == 192
_STRUCTS: Final = {"resolve_slot": SLOT, "ew_flow_key": FLOW_KEY, "ew_flow": FLOW, "ew_record": RECORD}
_WORDS: Final = RECORD_KEY_BYTES // 8
_WORDS_OF_SLOT: Final = np.dtype(
    [("key", FLOW_KEY), ("found", "<u4"), ("words", "<u8", _WORDS), ("_rest", "V", RECORD.itemsize - RECORD_KEY_BYTES)]
)
assert _WORDS_OF_SLOT.itemsize == SLOT.itemsize


class Resolver:
    """`maps`: the flow object's, by name. Raises LoadError. One caller at a time."""

    def __init__(self, maps: Mapping[str, int]) -> None:
        shared = {name: maps[name] for name in ("flows", "owners")}
        self._object = load("resolve", ("resolve_slots",), ("resolve",), _STRUCTS, shared=shared)
        size = -(-SLOTS * SLOT.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = mmap.mmap(self._object.maps["resolve_slots"], size)
        self._slots = np.frombuffer(self._memory, SLOT, SLOTS)
        self._words = self._slots.view(_WORDS_OF_SLOT)

    def resolve(self, keys: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """For flow keys (n,): the edge's key as words (n, 8), as `edges.Edges.words`, and whether there is a flow (n,)."""
        words = np.zeros((len(keys), _WORDS), np.uint64)
        found = np.zeros(len(keys), np.bool_)
        for start in range(0, len(keys), SLOTS):
            part = keys[start : start + SLOTS]
            n = len(part)
            self._slots["key"][:n] = part
            if bpf.run_syscall_program(self._object.programs["resolve"], np.array([n], "<u4")):
                raise OSError("the resolver did not run")
            found[start : start + n] = self._slots["found"][:n] != 0
            words[start : start + n] = self._words["words"][:n]
        if not found.all():
            words[~found] = 0
        return words, found

    def close(self) -> None:
        del self._slots, self._words
        self._memory.close()
        self._object.close()
