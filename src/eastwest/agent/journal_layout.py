"""The two maps of the agent's journal as bytes, and what is read back from a predecessor's. No behaviour."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import bpf
from eastwest.agent.abi import DRAIN, INTERFACE_SET
from eastwest.agent.bpffs import Layout

NOT_RUN: Final = 0xFFFF_FFFF
"""In `drain.records`: this run of the drain has not come back."""

UNSENT: Final = np.dtype([("bytes", "u8"), ("packets", "u8"), ("start_ns", "u8"), ("end_ns", "u8")])
STATE: Final = np.dtype(
    [
        ("digest", "u8"),  # of every layout
        ("netns", "u8"),
        ("id", "u8"),  # of these pins: random
        ("committed", "u4"),  # number of the last drain whose records were handed over
        ("begun", "u4"),
        ("epoch", "u4"),  # that the drain `begun` moved on to
        ("runs", "u4"),  # of the drain program in it
        ("turned_ns", "u8"),  # wall time of that moment
        ("end_ns", "u8", 2),  # end of the last window, by its number & 1
        ("unsent_at", "u4"),
        ("pad", "u4"),
        ("unsent", UNSENT, 2),  # [unsent_at]: handed over, but not at the server yet, and in memory only
        ("drain", DRAIN),
        ("turned_mono_ns", "u8"),  # CLOCK_MONOTONIC of `turned_ns`; from here on 0 = by an older agent
        ("end_mono_ns", "u8", 2),  # CLOCK_MONOTONIC of `end_ns`
    ]
)
REPORTED: Final = np.dtype(
    [
        ("number", "u4"),  # of the drain that wrote `before[set]`
        ("set", "u4"),
        ("before", INTERFACE_SET, 2),  # the totals that are accounted for, by set
        ("prior", INTERFACE_SET),  # before[set] as it was until then
        ("netns", "u8"),
        ("name", "S16"),
        ("uid", "S64"),
    ]
)
_HASH, _NO_PREALLOC = 1, 1
STATE_LAYOUT: Final = Layout(bpf.MAP_TYPE_ARRAY, 4, mmap.PAGESIZE, 1, bpf.MMAPABLE)
REPORTED_LAYOUT: Final = Layout(_HASH, 4, REPORTED.itemsize, 4096, _NO_PREALLOC)
assert STATE.itemsize <= mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class Predecessor:
    """An interface as the agent before left it."""

    ifindex: int
    name: str
    pod_uid: str | None
    netns: int | None
    before: dict[int, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A drain that began and was never handed over. `lossy`: what earlier runs of its program had taken is gone."""

    quiet: int
    end_ns: int
    end_mono_ns: int | None
    records: int  # that its last run wrote
    lossy: bool


def create(layout: Layout, name: bytes) -> int:
    """A new map. Raises OSError."""
    attr = struct.pack("<IIIII", layout.type, layout.key_bytes, layout.value_bytes, layout.entries, layout.flags)
    return bpf.call(bpf.MAP_CREATE, attr + bytes(8) + name.ljust(16, b"\0"))
