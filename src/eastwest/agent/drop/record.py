"""The layout of bpf/drop/drop.h in numpy. The header is the interface; a test compares the two."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

import numpy as np

KEY: Final = np.dtype(
    [
        ("netns", "<u4"),
        ("ifindex", "<u4"),
        ("owner_netns", "<u4"),
        ("reason", "<u4"),
        ("src", "u1", 16),
        ("dst", "u1", 16),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("protocol", "u1"),
        ("flags", "u1"),
        ("_zero", "<u2"),
    ]
)
VALUE: Final = np.dtype([("packets", "<u8"), ("bytes", "<u8"), ("born_ns", "<u8")])
assert (KEY.itemsize, VALUE.itemsize) == (56, 24)


class Flag(IntFlag):
    PARSED = 1
    PORTS = 2
    TO_SERVER = 4
    TO_CLIENT = 8


class Counter(IntEnum):
    """Index into the map `drop_counters`."""

    SEEN = 0
    COARSE = 1
    LOST = 2
