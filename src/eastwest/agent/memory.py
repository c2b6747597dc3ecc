"""Keeps the process small: no huge pages, and glibc's allocator shares one arena and gives large blocks back at once.

Without it every thread keeps an arena of its own, and the arrays of one busy window stay resident for ever. numpy asks for huge pages (madvise) for large arrays: an array of a few bytes more than 2 MiB then
costs 4, and how many it gets changes from run to run.
"""

from __future__ import annotations

import ctypes
from typing import Final

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h, mallopt(3)
PR_SET_THP_DISABLE: Final = 41  # prctl(2)
_BYTES: Final = 256 << 10


def keep_small() -> bool:
    """Call before any thread starts. False where the C library has no such knobs (musl); that is no error."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    if not hasattr(libc, "mallopt"):
        return False
    wanted = ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, _BYTES), (M_TRIM_THRESHOLD, _BYTES))
    taken = [libc.mallopt(knob, value) == 1 for knob, value in wanted]
    return all(taken)
