"""Durations in 16 fixed buckets: a mergeable histogram good for p50 and p99. Pure.

Each bucket is twice as wide as the one before, from 32 µs (a neighbour on the same node) to 262 ms, then up to 1.05 s,
then the rest. Two histograms merge by adding; a quantile is read off to within its bucket, so to a factor of 2 at worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

BOUNDS_US: Final = (*(32 << i for i in range(14)), 1_048_576)
"""Upper bounds, exclusive, of all buckets but the last, which has none."""

BUCKETS: Final = len(BOUNDS_US) + 1


def bucket_of(durations_us: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """The bucket (0 to 15) of each duration, shape as given."""
    return np.searchsorted(np.asarray(BOUNDS_US), durations_us, side="right").astype(np.int64)


def quantile(counts: Sequence[int] | npt.NDArray[np.integer], q: float) -> float | None:
    """The `q` quantile (0 to 1) in µs, interpolated within its bucket; None when nothing was counted.

    In the last bucket, which has no upper bound, the answer is its lower bound: read it as "at least".
    """
    if len(counts) != BUCKETS:
        raise ValueError(f"{len(counts)} counts, expected {BUCKETS}")
    total = int(sum(int(c) for c in counts))
    if total == 0:
        return None
    rank, below = q * total, 0
    for bucket, here in enumerate(int(c) for c in counts):
        if here and below + here >= rank:
            low = BOUNDS_US[bucket - 1] if bucket else 0
            high = BOUNDS_US[bucket] if bucket < BUCKETS - 1 else low
            return low + (high - low) * max(0.0, rank - below) / here
        below += here
    raise AssertionError("the counts add up")
