"""A bound on the records of one window: what does not fit adds up in one record per pod, and is declared.

Quiet pods keep every edge: a noisy one gives way first, and of its edges one of each (side, protocol, server port) stays
before a second of any. Nothing is lost but names: the sums of a pod's records are the same before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.model.flow import Reporter, RoleSource
from eastwest.model.schema import AGENT_COLUMNS, Merge
from eastwest.wire.batch import ColumnData, Columns, Maybe, Words

OTHER: Final = "__other__"
COUNTED_IN: Final = "other"
_GROUP: Final = ("pod_uid", "reporter", "protocol")
_MERGED: Final = {Merge.SUM: np.add, Merge.MIN: np.minimum, Merge.MAX: np.maximum}
_CONSTANT: Final[dict[str, Any]] = {
    "role_source": RoleSource.UNKNOWN.value,
    "counted_in": COUNTED_IN,
    "dst_port": 0,
    "src_port": None,
    "service_ip": None,
    "service_port": None,
    "allowed_by": None,
    "denied_by": None,
}
"""What a folded record says of what its edges did not have in common."""


@dataclass(frozen=True, slots=True)
class Folded:
    """The columns to send, their rows, and how many edges of which pod are in `__other__`."""

    columns: Columns
    rows: int
    edges: Mapping[str | None, int] = field(default_factory=dict)


def fold(columns: Columns, rows: int, budget: int) -> Folded:
    """`rows` records as they are while they fit the budget; else `budget` of them, and a few more for what is folded:
    one per pod, side and protocol."""
    if rows <= budget:
        return Folded(columns, rows)
    pod = _codes(columns["pod_uid"])
    away = ~_chosen(columns, pod, budget)
    group = np.unique(np.stack([_codes(columns[n]) for n in _GROUP], axis=1)[away], axis=0, return_inverse=True)[1]
    group = np.asarray(group).reshape(-1)
    first = np.unique(group, return_index=True)[1]
    made: dict[str, ColumnData] = {}
    for column in AGENT_COLUMNS:
        if column.name in columns:
            made[column.name] = _column(column.name, column.merge, columns, away, group, first)
    uids = columns["pod_uid"]
    assert isinstance(uids, Words)
    counts = np.bincount(pod[away], minlength=len(uids.words)).tolist()
    edges = {uid: n for uid, n in zip(uids.words, counts, strict=True) if n}
    return Folded(made, int((~away).sum()) + len(first), edges)


def _chosen(columns: Columns, pod: NDArray[np.int64], budget: int) -> NDArray[np.bool_]:
    """Which rows stay, (n,)."""
    level = _level(np.bincount(pod), budget)
    kinds = np.stack([pod, *(_codes(columns[n]) for n in ("reporter", "protocol", "dst_port"))], axis=1)
    kind = np.asarray(np.unique(kinds, axis=0, return_inverse=True)[1]).reshape(-1)
    size = -(_codes(columns["bytes_forward"]) + _codes(columns["bytes_reverse"]))
    in_kind = _rank(np.lexsort((size, kind)), kind)
    in_pod = _rank(np.lexsort((size, in_kind, pod)), pod)
    return np.asarray(in_pod < level)


def _level(counts: NDArray[np.int64], budget: int) -> int:
    """The largest share of which no pod needs more for all to fit: sum(min(count, share)) <= budget."""
    low, high = 0, int(counts.max())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if int(np.minimum(counts, middle).sum()) <= budget else (low, middle - 1)
    return low


def _rank(order: NDArray[np.intp], group: NDArray[Any]) -> NDArray[np.int64]:
    """The place of each row within its group, from 0; `order` has groups together."""
    sorted_group = group[order]
    starts = np.flatnonzero(np.concatenate(([True], sorted_group[1:] != sorted_group[:-1])))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    rank = np.empty(len(order), np.int64)
    rank[order] = place
    return rank


def _column(
    name: str,
    merge: Merge,
    columns: Columns,
    away: NDArray[np.bool_],
    group: NDArray[np.int64],
    first: NDArray[np.intp],
) -> ColumnData:
    data = columns[name]
    if isinstance(data, Words):
        codes, words = _folded_words(name, data, columns, away, first)
        return Words(np.concatenate((data.codes[~away], codes)), words)
    values, valid = (data.values, data.valid) if isinstance(data, Maybe) else (data, np.ones(len(data), np.bool_))
    if name in _CONSTANT:
        rest = np.zeros((len(first), *values.shape[1:]), values.dtype)
        known = np.full(len(first), _CONSTANT[name] is not None)
    elif merge in _MERGED:
        rest, known = _merged(_MERGED[merge], values[away], valid[away], group, len(first))
    else:
        rest, known = values[away][first], valid[away][first]
        if name in ("src_ip", "dst_ip"):
            rest = np.where(_is_local(name, columns, away, first)[:, None], rest, 0).astype(values.dtype)
    joined = np.concatenate((values[~away], rest))
    return Maybe(joined, np.concatenate((valid[~away], known))) if isinstance(data, Maybe) else joined


def _folded_words(
    name: str, data: Words, columns: Columns, away: NDArray[np.bool_], first: NDArray[np.intp]
) -> tuple[NDArray[Any], tuple[str | None, ...]]:
    words = tuple(data.words)
    codes = data.codes[away][first]
    if name in ("src_dns_name", "dst_dns_name"):
        local = _is_local(name.replace("dns_name", "ip"), columns, away, first)
        return np.where(local, len(words), len(words) + 1).astype(data.codes.dtype), (*words, None, OTHER)
    if name in _CONSTANT:
        return np.full(len(first), len(words), data.codes.dtype), (*words, _CONSTANT[name])
    return codes, words


def _is_local(name: str, columns: Columns, away: NDArray[np.bool_], first: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether that end is the reporting pod's own: the source, but of what a server reports."""
    reporter = columns["reporter"]
    assert isinstance(reporter, Words)
    server = np.array([word == Reporter.SERVER for word in reporter.words])[reporter.codes[away][first]]
    return np.asarray(server if name == "dst_ip" else ~server)


def _merged(
    how: np.ufunc, values: NDArray[Any], valid: NDArray[np.bool_], group: NDArray[np.int64], groups: int
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    known = np.zeros(groups, np.bool_)
    known[group[valid]] = True
    start = np.iinfo(values.dtype).max if how is np.minimum else np.iinfo(values.dtype).min if how is np.maximum else 0
    total = np.full(groups, start, values.dtype)
    how.at(total, group[valid], values[valid])
    return np.where(known, total, 0).astype(values.dtype), known


def _codes(data: ColumnData) -> NDArray[np.int64]:
    return np.asarray(data.codes if isinstance(data, Words) else _values(data)).astype(np.int64)


def _values(data: ColumnData) -> NDArray[Any]:
    assert not isinstance(data, Words)
    return np.where(data.valid, data.values, 0) if isinstance(data, Maybe) else data
