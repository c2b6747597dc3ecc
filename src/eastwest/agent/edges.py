"""Adds up records that agree on who and what: pure arithmetic on arrays, no loop per flow.

A record's first 64 bytes are its key (`abi.RECORD_KEY_BYTES`), so grouping is grouping of eight 64-bit words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.abi import RECORD, RECORD_KEY_BYTES

KEY: Final = np.dtype([(n, RECORD[n]) for n in (RECORD.names or ())[: (RECORD.names or ()).index("bytes")]])
SUMS: Final = (
    "bytes_forward",
    "bytes_reverse",
    "packets_forward",
    "packets_reverse",
    "segments_forward",
    "segments_reverse",
    "connections",
    "connections_established",
    "policy_allowed",
    "policy_denied",
    "policy_would_deny",
)
"""The columns of `Edges.sums`, named as in the schema."""

VERDICTS: Final = slice(8, 11)
"""Those of SUMS that tell what policies did: all 0 where none decided."""

SLICE_ROWS: Final = 4096
_WORDS: Final = RECORD_KEY_BYTES // 8
_MIXERS: Final = np.array([0x9E3779B97F4A7C15 * (2 * i + 1) % 2**64 | 1 for i in range(_WORDS)], np.uint64)


@dataclass(frozen=True, slots=True)
class Edges:
    """n distinct keys with their totals; times are CLOCK_MONOTONIC nanoseconds."""

    words: NDArray[np.uint64]  # (n, 8): the key's bytes
    sums: NDArray[np.uint64]  # (n, len(SUMS))
    first_ns: NDArray[np.uint64]  # (n,)
    last_ns: NDArray[np.uint64]  # (n,)
    reasons: NDArray[np.uint32]  # (n, 2): of the last packets allowed and of the last denied; 0: none were

    def __len__(self) -> int:
        return len(self.words)

    @property
    def keys(self) -> NDArray[Any]:
        """The keys as KEY structs (n,)."""
        return self.words.view(KEY).reshape(-1)


def from_records(records: NDArray[Any]) -> Edges:
    """Copy a drain's chunk out of the shared buffer and add it up, in slices that keep temporary memory small."""
    return merge([_from_slice(records[at : at + SLICE_ROWS]) for at in range(0, len(records), SLICE_ROWS)])


def _from_slice(records: NDArray[Any]) -> Edges:
    words = records.view(np.uint64).reshape(len(records), -1)
    sums = np.empty((len(records), len(SUMS)), np.uint64)
    sums[:, 0:2] = records["bytes"]
    sums[:, 2:4] = records["tally"]["packets"]
    sums[:, 4:6] = records["tally"]["segments"]
    sums[:, 6] = records["opens"]
    sums[:, 7] = records["answered"]
    reasons = np.empty((len(records), 2), np.uint32)
    for i, name in enumerate(("allowed", "denied", "would_deny")):
        sums[:, VERDICTS.start + i] = records[name]
    reasons[:, 0], reasons[:, 1] = records["allow_reason"], records["deny_reason"]
    return _group(Edges(words[:, :_WORDS], sums, records["first_ns"], records["last_ns"], reasons))


def merge(parts: Sequence[Edges]) -> Edges:
    """One Edges of several, each key once. Associative and commutative but for the order of rows."""
    if not parts:
        return Edges(
            np.empty((0, _WORDS), np.uint64),
            np.empty((0, len(SUMS)), np.uint64),
            np.empty(0, np.uint64),
            np.empty(0, np.uint64),
            np.empty((0, 2), np.uint32),
        )
    if len(parts) == 1:
        return parts[0]
    return _group(_joined(parts))


def _joined(parts: Sequence[Edges]) -> Edges:
    return Edges(
        np.concatenate([p.words for p in parts]),
        np.concatenate([p.sums for p in parts]),
        np.concatenate([p.first_ns for p in parts]),
        np.concatenate([p.last_ns for p in parts]),
        np.concatenate([p.reasons for p in parts]),
    )


def with_silent(e: Edges, words: NDArray[np.uint64], time_ns: int) -> tuple[Edges, NDArray[np.intp]]:
    """The same rows, then those of `words` (m, 8) that are not among them, once each, with sums of 0 and seen at `time_ns`;
    and the row of each of `words` (m,)."""
    if not len(words):
        return e, np.zeros(0, np.intp)
    both = np.concatenate((e.words, words))
    order, starts = _runs(both)
    first = np.repeat(
        order[starts], np.diff(np.append(starts, len(both)))
    )  # the sort is stable: of `e`, if it is there
    at = np.empty(len(both), np.intp)
    at[order] = first
    new = np.flatnonzero(at[len(e) :] == np.arange(len(e), len(both)))
    row = np.arange(len(both))
    row[len(e) + new] = len(e) + np.arange(len(new))
    times = np.full(len(new), time_ns, np.uint64)
    silent = Edges(
        words[new], np.zeros((len(new), len(SUMS)), np.uint64), times, times, np.zeros((len(new), 2), np.uint32)
    )
    return _joined((e, silent)), row[at[len(e) :]]


def _group(e: Edges) -> Edges:
    if len(e) == 0:
        return e
    order, starts = _runs(e.words)
    return Edges(
        e.words[order[starts]],
        np.add.reduceat(e.sums[order], starts, axis=0),
        np.minimum.reduceat(e.first_ns[order], starts),
        np.maximum.reduceat(e.last_ns[order], starts),
        _last_reasons(e, order, starts),
    )


def _last_reasons(e: Edges, order: NDArray[np.intp], starts: NDArray[np.intp]) -> NDArray[np.uint32]:
    """Of each run and kind, the reason of the latest row that has one; of rows as late as each other, the greatest."""
    found = np.zeros((len(starts), 2), np.uint32)
    for kind in range(2):
        reasons = e.reasons[:, kind]
        if not reasons.any():
            continue
        by_time = np.lexsort((reasons, e.last_ns))
        rank = np.empty(len(e), np.intp)
        rank[by_time] = np.arange(1, len(e) + 1)
        latest = np.maximum.reduceat(np.where(reasons, rank, 0)[order], starts)
        found[:, kind] = np.where(latest, reasons[by_time[latest - 1]], 0)
    return found


def _runs(words: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """An order in which equal keys are neighbours, and where each run starts."""
    hashes = (words * _MIXERS).sum(axis=1, dtype=np.uint64)
    hashes ^= hashes >> np.uint64(29)
    order = np.argsort(hashes, kind="stable")
    starts = _changes(hashes[order, None])
    if len(_changes(words[order])) == len(starts):
        return order, starts
    order = np.lexsort(words.T)  # two keys share a hash: sort by the keys themselves
    return order, _changes(words[order])


def _changes(rows: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Indices of rows that differ from the one before; the first always does."""
    differs = np.ones(len(rows), np.bool_)
    differs[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return np.flatnonzero(differs)
