"""What each local pod has sent and received since the agent first saw it: counters that only rise.

Fed once per window with increments per pod; rendered for any number of scrapers. Reading changes nothing, so two
scrapers see the same values. It knows neither where increments come from nor who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.metrics import families as m
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text

Rows = NDArray[np.intp]
NameOf = Callable[[str], tuple[str, str] | None]
"""pod UID -> (namespace, pod name), None while nobody has said."""

KEEP_S: Final = 300.0
"""How long a pod that is gone stays in the answer, so that its last bytes are scraped."""
NAME_WAIT_S: Final = 15.0
"""How long a new pod is held back for its name: a label that changes later would start a new series."""
FIXED: Final[dict[Family, tuple[tuple[str, ...], ...]]] = {
    m.FLOWS_OPENED: tuple((p, d) for p in m.PROTOCOLS for d in m.DIRECTIONS),
    m.RETRANSMISSIONS: tuple((p,) for p in m.PHASES),
    m.TIMEOUTS: tuple((p,) for p in m.PHASES),
}
"""Label values that are written even at 0; those of other families appear when first counted."""
_UNLABELLED: Final[tuple[tuple[str, ...], ...]] = ((),)


class PodCounters:
    """Not thread-safe: `metrics.AgentMetrics` guards it."""

    def __init__(self, node: str, name_of: NameOf = lambda _: None, *, name_wait_s: float = NAME_WAIT_S) -> None:
        self._node, self._name_of, self._name_wait_s = node, name_of, name_wait_s
        self._row: dict[str, int] = {}
        self._free: list[int] = []
        self._tables: dict[tuple[Family, tuple[str, ...]], NDArray[np.uint64]] = {}
        self._sums: dict[Family, NDArray[np.float64]] = {}
        self._no_active: set[int] = set()  # rows of pods whose open connections nobody counts
        self._active_known = False  # whether anybody ever said how many connections are open
        self._first_s = np.zeros(64)
        self._last_s = np.zeros(64)

    def rows(self, pod_uids: Sequence[str], now_s: float) -> Rows:
        """The row of each pod, made when new. A UID that nobody knows is the empty text. `now_s` is Unix time."""
        for uid in pod_uids:
            if uid not in self._row:
                self._row[uid] = row = self._free.pop() if self._free else len(self._row)
                if row >= len(self._first_s):
                    self._grow()
                self._first_s[row] = now_s
        rows = np.fromiter((self._row[uid] for uid in pod_uids), np.intp, len(pod_uids))
        self._last_s[rows] = now_s
        return rows

    def add(self, family: Family, rows: Rows, amounts: NDArray[Any], labels: tuple[str, ...] = ()) -> None:
        """Count `amounts[i]` for pod `rows[i]`; rows may repeat. Raises ValueError for a negative amount."""
        if len(amounts) and amounts.min() < 0:
            raise ValueError(f"{family.name}: a counter only rises")
        np.add.at(self._table(family, labels), rows, amounts.astype(np.uint64))

    def set(self, family: Family, rows: Rows, values: NDArray[Any], labels: tuple[str, ...] = ()) -> None:
        """A gauge's whole new state: pods not in `rows` are 0."""
        self._active_known |= family is m.FLOWS_ACTIVE
        table = self._table(family, labels)
        table[:] = 0
        table[rows] = values

    def without_active(self, rows: Rows) -> None:
        """Pods without a figure of their own for connections that are open now: none is published, not 0."""
        self._no_active.update(rows.tolist())

    def observe(self, family: Family, rows: Rows, counts: NDArray[Any], sums: NDArray[Any]) -> None:
        """Add histogram buckets of shape (n, len(bounds) + 1), not cumulative, and sums of shape (n,)."""
        np.add.at(self._table(family, ()), rows, counts.astype(np.uint64))
        np.add.at(self._sums.setdefault(family, np.zeros(len(self._first_s))), rows, sums)

    def retire(self, now_s: float) -> None:
        """Forget pods that had no row asked for during KEEP_S."""
        for uid, row in list(self._row.items()):
            if now_s - self._last_s[row] > KEEP_S:
                del self._row[uid]
                self._no_active.discard(row)
                self._free.append(row)
                for table in (*self._tables.values(), *self._sums.values()):
                    table[row] = 0

    def uids(self) -> list[str]:
        """Pods that are or will be published."""
        return list(self._row)

    def value(self, family: Family, pod_uid: str, labels: tuple[str, ...] = ()) -> int:
        """One counter, for other spellings of it (`reference`) and tests; 0 when never counted."""
        table = self._tables.get((family, labels))
        row = self._row.get(pod_uid)
        return 0 if table is None or row is None else int(table[row])

    def shown(self, now_s: float) -> Iterator[tuple[str, str, str, float]]:
        """(pod UID, namespace, pod name, first seen) of each pod that is ready to be published."""
        for uid, row in self._row.items():
            if not uid and not any(table[row].any() for table in self._tables.values()):
                continue  # no interface without a pod has seen a packet
            name = self._name_of(uid) if uid else ("", "")
            first = float(self._first_s[row])
            if name is not None or now_s - first >= self._name_wait_s:
                yield uid, *(name or ("", "")), first

    def render(self, out: Exposition, now_s: float, hooks_on: Collection[str]) -> None:
        """Write every pod family whose hook is in `hooks_on`."""
        shown = list(self.shown(now_s))
        rows = np.array([self._row[uid] for uid, *_ in shown], np.intp)
        base = [label_text(m.POD, (self._node, ns, pod, uid or "unknown")) for uid, ns, pod, _ in shown]
        created = self._first_s[rows]
        for family in m.POD_FAMILIES:
            if family.hook is not None and family.hook not in hooks_on:
                continue
            if family.kind is Kind.HISTOGRAM:
                counts = self._table(family, ())[rows]
                sums = self._sums.get(family, np.zeros(len(self._first_s)))[rows]
                out.histogram(family, base, counts, sums, created)
            else:
                self._render(out, family, base, rows, created)

    def _render(
        self, out: Exposition, family: Family, base: list[str], rows: Rows, created: NDArray[np.float64]
    ) -> None:
        names = family.labels[len(m.POD) :]
        seen = FIXED.get(family) or (() if names else _UNLABELLED)
        if family is m.FLOWS_ACTIVE and self._active_known:
            seen = tuple((p,) for p in m.PROTOCOLS)
        labels: list[str] = []
        values: list[NDArray[np.uint64]] = []
        times: list[NDArray[np.float64]] = []
        if family is m.FLOWS_ACTIVE and self._no_active:
            counted = np.array([row not in self._no_active for row in rows.tolist()], np.bool_)
            base, rows, created = [b for b, c in zip(base, counted, strict=True) if c], rows[counted], created[counted]
        for words in dict.fromkeys((*seen, *(w for f, w in self._tables if f is family))):
            tail = label_text(names, words)
            column = self._table(family, words)[rows]
            at = np.arange(len(rows)) if words in seen else np.flatnonzero(column)
            labels += [f"{base[i]},{tail}" if tail else base[i] for i in at.tolist()]
            values.append(column[at])
            times.append(created[at])
        if labels:
            out.write(family, labels, np.concatenate(values), np.concatenate(times))

    def _table(self, family: Family, labels: tuple[str, ...]) -> NDArray[np.uint64]:
        key = (family, labels)
        if key not in self._tables:
            width = (len(family.bounds) + 1,) if family.bounds else ()
            self._tables[key] = np.zeros((len(self._first_s), *width), np.uint64)
        return self._tables[key]

    def _grow(self) -> None:
        def doubled(old: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate((old, np.zeros_like(old)))

        self._first_s, self._last_s = doubled(self._first_s), doubled(self._last_s)
        self._tables = {key: doubled(table) for key, table in self._tables.items()}
        self._sums = {family: doubled(sums) for family, sums in self._sums.items()}
