"""The arrays of a plan as sets of rows: canonical order, differences, and what makes them sound. Vectorised.

Canonical order is that of the rows' raw bytes, so that a difference and its undoing are searches in sorted arrays.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]
"""(n,) of one of model.plan's dtypes."""

_BITS: Final = np.arange(128)
_MASKS: Final = np.packbits(_BITS[None, :] >= np.arange(129)[:, None], axis=1)
"""(129, 16): the bits of an address that a prefix of that length leaves out."""
_PORT_LENGTHS: Final = np.array([n == 0 or 8 <= n <= 24 for n in range(256)])


class PlanError(ValueError):
    """A plan that cannot be used; the text says what is wrong with it."""


def words(rows: Rows) -> NDArray[np.bytes_]:
    """Rows as byte strings of equal length, which compare as the rows' raw bytes do."""
    rows = np.ascontiguousarray(rows)
    return rows.view(f"S{rows.dtype.itemsize}").reshape(-1)


def canonical(rows: Rows) -> Rows:
    """Sorted by raw bytes; the same array when it is already."""
    keys = words(rows)
    if len(rows) < 2 or bool((keys[1:] >= keys[:-1]).all()):
        return rows
    return rows[np.argsort(keys, kind="stable")]


def difference(old: Rows, new: Rows) -> tuple[Rows, Rows]:
    """(rows only in `old`, rows only in `new`); both canonical and without duplicates."""
    if old is new:
        return old[:0], new[:0]
    a, b = words(old), words(new)
    head = _common(a, b)
    a, b, old, new = a[head:], b[head:], old[head:], new[head:]
    tail = _common(a[::-1], b[::-1])
    a, b, old, new = a[: len(a) - tail], b[: len(b) - tail], old[: len(old) - tail], new[: len(new) - tail]
    return old[~_within(a, b)], new[~_within(b, a)]


def changed(rows: Rows, removed: Rows, added: Rows, what: str) -> Rows:
    """`rows` (canonical) without `removed`, with `added`. Raises PlanError when they do not fit together."""
    keys = words(rows)
    if not bool(_within(words(removed), keys).all()):
        raise PlanError(f"{what}: the delta removes rows that the plan does not have")
    if len(removed):
        rows = np.delete(rows, np.searchsorted(keys, words(removed)))
        keys = words(rows)
    if bool(_within(words(added), keys).any()):
        raise PlanError(f"{what}: the delta adds rows that the plan has already")
    if not len(added):
        return rows
    added = canonical(added)
    return np.insert(rows, np.searchsorted(keys, words(added)), added)


def check_identities(rows: Rows) -> None:
    """Canonical prefixes, each once, of known kinds. Raises PlanError."""
    _refuse(rows["length"] > 128, "identities", "a prefix is longer than 128 bits")
    _refuse((rows["address"] & _MASKS[rows["length"]]).any(axis=1), "identities", "bits are set beyond a prefix")
    _refuse(rows["kind"] > 1, "identities", "a kind is neither pod nor other")
    _refuse(rows["identity"] == 0, "identities", "identity 0 is nobody's")
    _refuse(rows["pad"].any(axis=1), "identities", "padding is not zero")
    keys = _bytes(rows)[:, :17]
    _unique(keys, "identities", "a prefix appears twice")


def check_cells(rows: Rows) -> None:
    """One row for each table and identity. Raises PlanError."""
    _refuse(rows["row"] == 0, "cells", "row 0 is no row")
    keys = _bytes(rows)[:, :8]
    _unique(keys, "cells", "a table has two rows for one identity")


def check_ports(rows: Rows, reasons: int) -> None:
    """Prefixes of known lengths, each once in its row, with a reason there is. Raises PlanError."""
    length = rows["length"].astype(np.int64)
    _refuse(~_PORT_LENGTHS[length], "ports", "a length is none of 0, 8…24")
    beyond = rows["port"].astype(np.int64) & (0xFFFF >> np.clip(length - 8, 0, 16))
    _refuse(beyond != 0, "ports", "bits are set beyond a prefix of the port")
    _refuse((length == 0) & (rows["protocol"] != 0), "ports", "a whole row has a protocol")
    _refuse(rows["ruling"] > 2, "ports", "a ruling is none of none, allow, deny")
    _refuse(rows["row"] == 0, "ports", "row 0 is no row")
    _refuse(rows["reason"] >= reasons, "ports", f"a reason is not one of the {reasons} there are")
    _refuse(rows["pad"].any(axis=1), "ports", "padding is not zero")
    key = (rows["row"].astype(np.uint64) << np.uint64(32)) | (rows["port"].astype(np.uint64) << np.uint64(16))
    key |= (rows["protocol"].astype(np.uint64) << np.uint64(8)) | rows["length"].astype(np.uint64)
    key.sort()
    _refuse(key[1:] == key[:-1], "ports", "a prefix appears twice in a row")


def check_rows_exist(used: NDArray[Any], ports: Rows) -> None:
    """Every row number that is used has an entry for the whole row. Raises PlanError."""
    whole = np.sort(ports["row"][ports["length"] == 0])
    missing = used[~_within(used, whole)]
    if len(missing):
        raise PlanError(f"ports: row {int(missing[0])} is used but has no entry for the whole row")


def _common(a: NDArray[Any], b: NDArray[Any]) -> int:
    """Length of the common head."""
    n = min(len(a), len(b))
    differs = a[:n] != b[:n]
    return int(differs.argmax()) if bool(differs.any()) else n


def _within(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of `a` are in `b` (sorted). numpy.isin would load numpy.ma: 10 MiB on every node."""
    if not len(b):
        return np.zeros(len(a), np.bool_)
    found: NDArray[np.bool_] = b[np.minimum(np.searchsorted(b, a), len(b) - 1)] == a
    return found


def _refuse(wrong: Any, what: str, why: str) -> None:
    """`wrong`: (n,) of bool."""
    if bool(wrong.any()):
        raise PlanError(f"{what}[{int(wrong.argmax())}]: {why}")


def _bytes(rows: Rows) -> NDArray[np.uint8]:
    """(n, bytes of a row)."""
    return words(rows).view(np.uint8).reshape(len(rows), rows.dtype.itemsize)


def _unique(keys: NDArray[np.uint8], what: str, why: str) -> None:
    """`keys`: (n, bytes), sorted."""
    _refuse((keys[1:] == keys[:-1]).all(axis=1), what, why)
