"""The set of batches that were taken in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eastwest.collector.known import BatchId, KnownBatches

IDS = st.tuples(st.just("c"), st.sampled_from(["a", "b"]), st.sampled_from(["boot-1", "boot-2"]), st.integers(0, 30))


@given(st.lists(IDS), st.lists(IDS))
def test_it_is_a_set(first: list[BatchId], later: list[BatchId]) -> None:
    known, expected = KnownBatches(first), {*first, *later}
    for batch in later:
        known.add(batch)
    for node in "ab":
        for boot in ("boot-1", "boot-2"):
            for seq in range(32):
                assert (("c", node, boot, seq) in known) == (("c", node, boot, seq) in expected)


def test_a_sequence_without_gaps_costs_one_interval() -> None:
    known = KnownBatches(("c", "a", "b", seq) for seq in (5, 3, 1, 0, 2, 4))
    assert known._intervals == {("c", "a", "b"): [[0, 5]]}
