from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.model.histogram import BOUNDS_US, BUCKETS, bucket_of, quantile


def counts_of(durations: list[int]) -> np.ndarray:
    return np.bincount(bucket_of(np.asarray(durations, dtype=np.uint32)), minlength=BUCKETS)


def test_bounds_are_exclusive_above_and_inclusive_below() -> None:
    assert bucket_of(np.array([0, 31, 32, 63, 64, 1_048_575, 1_048_576, 4_000_000_000])).tolist() == [
        0, 0, 1, 1, 2, 14, 15, 15,
    ]  # fmt: skip
    assert len(BOUNDS_US) == BUCKETS - 1 == 15


def test_nothing_counted_has_no_quantile() -> None:
    assert quantile([0] * BUCKETS, 0.5) is None
    with pytest.raises(ValueError, match="expected 16"):
        quantile([1], 0.5)


def test_beyond_the_last_bound_the_answer_is_at_least() -> None:
    assert quantile(counts_of([5_000_000]), 0.5) == 1_048_576


@given(st.lists(st.integers(32, 1_000_000), min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_right_within_its_bucket(durations: list[int], q: float) -> None:
    got = quantile(counts_of(durations), q)
    exact = float(np.quantile(durations, q, method="inverted_cdf"))
    assert got is not None
    factor = 2 if exact < 262_144 else 4
    assert exact / factor <= got <= exact * factor


@given(st.lists(st.integers(0, 2_000_000)), st.lists(st.integers(0, 2_000_000)))
def test_merging_is_adding(a: list[int], b: list[int]) -> None:
    assert (counts_of(a) + counts_of(b)).tolist() == counts_of(a + b).tolist()
