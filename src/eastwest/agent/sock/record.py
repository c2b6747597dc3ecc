"""The layout of bpf/sock/sock.h in numpy. The header is the interface; a test compares the two."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

import numpy as np

from eastwest.agent.abi import RECORD_KEY_BYTES
from eastwest.model.histogram import BUCKETS

RECORD: Final = np.dtype(
    [
        ("cookie", "<u8"),
        ("opened_ns", "<u8"),
        ("now_ns", "<u8"),
        ("cgroup_id", "<u8"),
        ("local", "u1", 16),
        ("remote", "u1", 16),
        ("netns", "<u4"),
        ("local_port", "<u2"),
        ("remote_port", "<u2"),
        ("role", "u1"),
        ("state", "u1"),
        ("flags", "u1"),
        ("error", "u1"),
        ("attempts", "<u4"),
        ("established", "<u4"),
        ("failures", "<u4"),
        ("resets", "<u4"),
        ("timeouts", "<u4"),
        ("retransmits", "<u4", 3),
        ("rtos", "<u4", 3),
        ("connect_us", "<u4"),
        ("rtt_min_us", "<u4"),
        ("rtt_us", "<u4"),
        ("delivered", "<u4"),
        ("tick", "<u4"),
        ("_zero", "<u4"),
    ]
)
assert RECORD.itemsize == 144

SUM_KEY: Final = np.dtype([("words", "<u8", RECORD_KEY_BYTES // 8), ("window", "<u4")])
"""An edge as `edges.Edges.words` has it, and the number under which its connections closed."""
assert SUM_KEY.itemsize == 68

SUM: Final = np.dtype(
    [
        ("connect_sum_us", "<u8"),
        ("rtt_sum_us", "<u8"),
        ("now_ns", "<u8"),
        ("attempts", "<u4"),
        ("connect_count", "<u4"),
        ("failures", "<u4"),
        ("resets", "<u4"),
        ("timeouts", "<u4"),
        ("retransmits", "<u4", 3),
        ("rtos", "<u4", 3),
        ("rtt_min_us", "<u4"),
        ("rtt_histogram", "<u4", BUCKETS),
    ]
)
assert SUM.itemsize == 136

COUNTS: Final = ("attempts", "established", "failures", "resets", "timeouts", "retransmits", "rtos")
"""Totals of a connection."""

PHASES: Final = ("syn", "established", "closing")
"""Index into `retransmits` and `rtos`."""


class Role(IntEnum):
    UNKNOWN = 0
    CLIENT = 1
    SERVER = 2


class Flag(IntFlag):
    ADOPTED = 1
    CLOSED = 2
    RTT = 4
    AS_SENT = 8


class Counter(IntEnum):
    """Index into the map `sock_counters`."""

    LOST_STORAGE = 0
    LOST_RECORDS = 1
    DEFERRED = 2
    UNFOLLOWED = 3
    FLAGS_REFUSED = 4
    FOLLOWED = 5
    CLOSED_SEEN = 6
    ADDED_UP = 7
    SUMS_FULL = 8
