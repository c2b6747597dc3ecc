"""From the kernel's totals per connection to increments per tick, exactly: nothing twice, nothing left out. Pure.

The kernel sends a connection's totals whenever they changed and once when it closes. The ledger holds the last totals
of each live connection; an increment is the difference. It refuses to know pods and flows: `health` does that.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from eastwest.agent.sock.record import COUNTS, RECORD, Flag
from eastwest.model.histogram import BUCKETS, bucket_of

Records = npt.NDArray[np.void]

_IDENTITY: Final = (
    "cookie", "opened_ns", "now_ns", "cgroup_id", "local", "remote", "netns", "local_port", "remote_port", "role",
    "state", "flags", "error",
)  # fmt: skip

_SEEN: Final = np.dtype([(name, RECORD[name]) for name in ("cookie", "opened_ns", "now_ns", *COUNTS)])

_BASE: Final = np.dtype([(name, RECORD[name]) for name in COUNTS])

INCREMENT: Final = np.dtype(
    [(name, RECORD[name]) for name in _IDENTITY]
    + [(name, RECORD[name]) for name in COUNTS]
    + [
        ("connect_us", "<u4"),  # of a connection established in this tick; 0 = none
        ("rtt_min_us", "<u4"),  # 0 = not known
        ("rtt_count", "<u4"),
        ("rtt_sum_us", "<u8"),
        ("rtt_histogram", "<u4", BUCKETS),
    ]
)

# Both begin alike: who, and the counts. Copied as one piece.
_SAME: Final = RECORD.fields["connect_us"][1]  # type: ignore[index]
assert [(n, *RECORD.fields[n]) for n in (*_IDENTITY, *COUNTS)] == [  # type: ignore[index]
    (n, *INCREMENT.fields[n])  # type: ignore[index]
    for n in (*_IDENTITY, *COUNTS)
]
_SAME_IN_RECORD, _SAME_IN_INCREMENT = (
    np.dtype({"names": ["same"], "formats": [f"V{_SAME}"], "offsets": [0], "itemsize": whole.itemsize})
    for whole in (RECORD, INCREMENT)
)


class Ledger:
    """`max_live` bounds memory at 72 bytes per live connection; beyond it the longest silent are forgotten, counted."""

    def __init__(self, max_live: int = 262_144) -> None:
        self._seen = np.empty(0, _SEEN)  # sorted by (cookie, opened_ns)
        self._told = np.empty(0, RECORD)
        self._max_live = max_live
        self.forgotten = 0

    @property
    def live(self) -> int:
        """Connections remembered."""
        return len(self._seen)

    def take(self, records: Records, committed: int = 0) -> Records:
        """Increments of dtype INCREMENT, one per connection in `records` (dtype RECORD, in the ring's order).

        Of a connection that a predecessor told of, what came after window `committed`, the last that was handed over.
        """
        records, told = self._apart(records)
        if not records.size:
            return np.empty(0, INCREMENT)
        ordered, starts = _by_connection(records)
        last = ordered if starts.size == ordered.size else ordered[np.append(starts[1:], ordered.size) - 1]
        out = np.zeros(last.size, INCREMENT)
        out.view(_SAME_IN_INCREMENT)["same"] = last.view(_SAME_IN_RECORD)["same"]
        known, where = self._find(last)
        base = _base(last, told[told["tick"] <= committed])
        if known.any() or told.size:
            for name in COUNTS:
                before = self._seen[name][where]
                out[name] -= np.where(known.reshape(-1, *[1] * (before.ndim - 1)), before, base[name])
        _add_round_trips(out, ordered, starts)
        out["rtt_min_us"] = last["rtt_min_us"]
        out["connect_us"] = np.where(out["established"] > 0, last["connect_us"], 0)
        self._remember(last, known, where)
        return out

    def _apart(self, records: Records) -> tuple[Records, Records]:
        """News, and what was told before. The latter may come one call before the news that it belongs to."""
        is_told = (records["flags"] & Flag.AS_SENT) != 0
        if not self._told.size and not is_told.any():
            return records, self._told
        told = np.concatenate((self._told, records[is_told]))
        self._told = records[is_told]
        return records[~is_told], told

    def _find(self, last: Records) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Whether each connection was seen before, and where (any place when not)."""
        if not self._seen.size:
            self._seen = np.zeros(1, _SEEN)  # a place to point at: no socket has cookie 0
        return _place(self._seen, last)

    def _remember(self, last: Records, known: npt.NDArray[np.bool_], where: npt.NDArray[np.int64]) -> None:
        live = last[(last["flags"] & Flag.CLOSED) == 0]
        if not live.size and not known.any() and self._seen["cookie"][0]:
            return
        keep = np.ones(self._seen.size, bool)
        keep[where[known]] = False
        keep &= self._seen["cookie"] != 0
        fresh = np.empty(live.size, _SEEN)
        for name in _SEEN.names or ():
            fresh[name] = live[name]
        seen = np.concatenate((self._seen[keep], fresh))
        if seen.size > self._max_live:
            self.forgotten += seen.size - self._max_live
            seen = seen[np.argsort(seen["now_ns"])[seen.size - self._max_live :]]
        self._seen = seen[np.lexsort((seen["opened_ns"], seen["cookie"]))]


def _by_connection(records: Records) -> tuple[Records, npt.NDArray[np.int64]]:
    """The records of each connection in a row, in the ring's order, and where each row starts."""
    if ((records["flags"] & Flag.CLOSED) != 0).all():  # a connection closes once: each record is one's only one
        return records, np.arange(records.size)
    ordered = records[np.lexsort((records["opened_ns"], records["cookie"]))]  # stable
    return ordered, _first_of_each(ordered)


def _equal(a: Records, b: Records) -> npt.NDArray[np.bool_]:
    return np.asarray((a["cookie"] == b["cookie"]) & (a["opened_ns"] == b["opened_ns"]))


def _place(among: Records, wanted: Records) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Whether `among`, sorted by (cookie, opened_ns) and not empty, has each connection, and where."""
    where = np.searchsorted(among["cookie"], wanted["cookie"]).clip(max=among.size - 1)
    # A socket used for a second connection has one cookie and two entries, at most for one tick: try the next too.
    same = _is_at(among, where, wanted)
    after = np.minimum(where + 1, among.size - 1)
    where = np.where(same, where, after)
    return same | _is_at(among, where, wanted), where


def _is_at(among: Records, where: npt.NDArray[np.int64], wanted: Records) -> npt.NDArray[np.bool_]:
    """Field by field: whole records would be copied."""
    cookies, opened = among["cookie"][where], among["opened_ns"][where]
    return np.asarray((cookies == wanted["cookie"]) & (opened == wanted["opened_ns"]))


def _first_of_each(ordered: Records) -> npt.NDArray[np.int64]:
    """Where each connection's run of records starts."""
    return np.flatnonzero(np.append(True, ~_equal(ordered[1:], ordered[:-1])))


def _base(last: Records, told: Records) -> Records:
    """Per connection of `last` what it was told of before, dtype _BASE: of `told`, the newest; zero when nothing was."""
    base = np.zeros(last.size, _BASE)
    if told.size:
        told = told[np.lexsort((told["tick"], told["opened_ns"], told["cookie"]))]
        newest = told[np.append(_first_of_each(told)[1:], told.size) - 1]
        there, where = _place(newest, last)
        for name in COUNTS:
            base[name][there] = newest[name][where[there]]
    return base


def _add_round_trips(out: Records, ordered: Records, starts: npt.NDArray[np.int64]) -> None:
    """Each record that carries a new measurement is one sample of its connection's round-trip time."""
    runs = np.diff(np.append(starts, ordered.size))
    row = np.repeat(np.arange(starts.size), runs)
    sampled = ((ordered["flags"] & Flag.RTT) != 0) & (ordered["rtt_us"] != 0)
    row, rtt = row[sampled], ordered["rtt_us"][sampled]
    out["rtt_count"] = np.bincount(row, minlength=out.size)
    out["rtt_sum_us"] = np.bincount(row, weights=rtt, minlength=out.size)
    cells = np.bincount(row * BUCKETS + bucket_of(rtt), minlength=out.size * BUCKETS)
    out["rtt_histogram"] = cells.reshape(out.size, BUCKETS)
