"""Adding up records: a law (any split, any order, the same edges), and the collision that never happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eastwest.agent import edges
from eastwest.agent.abi import RECORD, RECORD_KEY_BYTES
from eastwest.agent.edges import KEY, SUMS, Edges, from_records, merge


def make_records(keys: list[int]) -> NDArray[np.void]:
    """Records that differ only in their destination port and amounts."""
    records = np.zeros(len(keys), RECORD)
    records["dst_port"] = keys
    records["ifindex"] = 7
    n = np.arange(1, len(keys) + 1)
    records["bytes"][:, 0], records["bytes"][:, 1] = n * 100, n
    records["tally"]["packets"][:, 0], records["tally"]["segments"][:, 1] = n, 2**32 - 1
    records["opens"], records["answered"] = 1, 0
    records["allowed"], records["would_deny"] = 10 * n, n
    records["first_ns"], records["last_ns"] = 1000 - n, 1000 + n
    return records


def as_dict(e: Edges) -> dict[int, tuple[int, ...]]:
    rows = zip(e.keys["dst_port"].tolist(), e.sums.tolist(), e.first_ns.tolist(), e.last_ns.tolist(), strict=True)
    return {port: (*sums, first, last) for port, sums, first, last in rows}


def test_the_key_is_the_first_bytes_of_a_record() -> None:
    assert KEY.itemsize == RECORD_KEY_BYTES
    assert RECORD.fields is not None
    assert KEY.fields is not None
    assert all(RECORD.fields[n][1] == KEY.fields[n][1] for n in KEY.fields)


def test_sums_and_times() -> None:
    found = as_dict(from_records(make_records([80, 443, 80])))
    assert set(found) == {80, 443}
    assert found[80] == (400, 4, 4, 0, 0, 2 * (2**32 - 1), 2, 0, 40, 0, 4, 997, 1003)
    assert len(SUMS) == 11


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(0, 40), st.randoms())
def test_merging_is_associative_and_order_free(keys: list[int], cut: int, random: object) -> None:
    records = make_records(keys)
    whole = as_dict(from_records(records)) if keys else {}
    shuffled = records[np.random.default_rng(cut).permutation(len(records))]
    parts = [from_records(p) for p in (shuffled[:cut], shuffled[cut:]) if len(p)]
    assert as_dict(merge(parts)) == whole
    assert as_dict(merge([merge(parts[:1]), merge(parts[1:])])) == whole


def test_nothing() -> None:
    assert len(merge([])) == 0


def test_one_record() -> None:
    assert as_dict(from_records(make_records([9])))[9][0] == 100


def test_equal_hashes_of_different_keys_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "_MIXERS", np.zeros_like(edges._MIXERS))  # now every key has the same hash
    found = as_dict(from_records(make_records([5, 6, 5, 7, 6])))
    assert {port: sums[6] for port, sums in found.items()} == {5: 2, 6: 2, 7: 1}


def test_the_drains_buffer_is_not_kept() -> None:
    records = make_records([1, 2])
    found = from_records(records)
    records["dst_port"] = 0
    assert set(as_dict(found)) == {1, 2}


def test_the_last_reason_of_each_kind() -> None:
    """Of those that have one: a later record without does not hide it."""
    records = np.zeros(5, RECORD)
    records["dst_port"] = [80, 80, 80, 80, 443]
    records["last_ns"] = [30, 40, 10, 20, 50]
    records["allow_reason"] = [3, 0, 9, 9, 0]
    records["deny_reason"] = [0, 0, 5, 6, 0]
    found = from_records(records)
    reasons = dict(zip(found.keys["dst_port"].tolist(), found.reasons.tolist(), strict=True))
    assert reasons == {80: [3, 6], 443: [0, 0]}
    parts = [from_records(records[:2]), from_records(records[2:])]
    assert dict(zip(merge(parts).keys["dst_port"].tolist(), merge(parts).reasons.tolist(), strict=True)) == reasons


@given(st.lists(st.integers(0, 20), unique=True), st.lists(st.integers(0, 30)))
def test_edges_without_packets_are_added_once_and_found(there: list[int], wanted: list[int]) -> None:
    known, silent = from_records(make_records(there)), from_records(make_records(sorted(set(wanted))))
    place = {int(port): i for i, port in enumerate(silent.keys["dst_port"])}
    words = silent.words[[place[port] for port in wanted]] if wanted else silent.words
    joined, row = edges.with_silent(known, words, 77)
    assert joined.keys["dst_port"][row].tolist() == wanted
    assert as_dict(joined) == {port: (0,) * len(SUMS) + (77, 77) for port in wanted} | as_dict(known)
    assert (joined.words[: len(known)] == known.words).all(), "the others keep their place"
