"""Keeps the process small: glibc's allocator is told to share one arena and to give large blocks back at once.

Without it every thread keeps an arena of its own, and the arrays of one busy window stay resident for ever.
"""

from __future__ import annotations

import ctypes
from typing import Final

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h, mallopt(3)
_BYTES: Final = 256 << 10


def keep_small() -> bool:
    """Call before any thread starts. False where the C library has no such knobs (musl); that is no error."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return False
    wanted = ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, _BYTES), (M_TRIM_THRESHOLD, _BYTES))
    taken = [libc.mallopt(knob, value) == 1 for knob, value in wanted]
    return all(taken)
