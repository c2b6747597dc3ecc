"""TCP health of workload pairs: retransmissions, timeouts, resets, round-trip times.

Each end's kernel counts for its own socket, so here both ends' reports count: `direction` is the sender's side, forward
for the initiator's socket. Nothing is written while no record has carried these columns (the hook is off everywhere).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from eastwest.query.metrics.labels import DIRECTION, PAIR, CappedCounters, pair_labels
from eastwest.query.metrics.reports import oriented
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text

pc: Any = pyarrow.compute

HOOK: Final = "sock_ops"
PHASE: Final = "phase"
PHASES: Final = ("syn", "established", "closing")
RTT_BOUNDS_S: Final = (*((32 << i) / 1e6 for i in range(14)), 1.048576)
RTT_BUCKETS: Final = tuple(f"rtt_bucket_{i:02d}" for i in range(len(RTT_BOUNDS_S) + 1))
WAYS: Final = ("forward", "reverse")


def _family(name: str, help_: str, *labels: str) -> Family:
    return Family(f"eastwest_pair_tcp_{name}", Kind.COUNTER, help_, labels=(*PAIR, DIRECTION, *labels), hook=HOOK)


RETRANSMISSIONS: Final = _family(
    "retransmissions", "Segments sent again between two workloads, by sender and phase.", PHASE
)
TIMEOUTS: Final = _family("timeouts", "Retransmission timeouts between two workloads, by sender and phase.", PHASE)
RESETS: Final = _family("resets", "Established connections ended by a reset, as seen by either end's socket.")
FAILURES: Final = _family("connect_failures", "Connections closed without having been established.")
RTT: Final = Family(
    "eastwest_pair_tcp_rtt_seconds", Kind.HISTOGRAM, "Round-trip times measured by the sockets of two workloads.", "seconds",
    (*PAIR, DIRECTION), RTT_BOUNDS_S, HOOK,
)  # fmt: skip
FAMILIES: Final = (RETRANSMISSIONS, TIMEOUTS, RESETS, FAILURES, RTT)

_COUNTED: Final[tuple[tuple[str, Family, str | None], ...]] = (
    *((f"retransmits_{phase}", RETRANSMISSIONS, phase) for phase in PHASES),
    *((f"rtos_{phase}", TIMEOUTS, phase) for phase in PHASES),
    ("resets", RESETS, None),
    ("connection_failures", FAILURES, None),
)
COLUMNS: Final = (*(column for column, _, _ in _COUNTED), *RTT_BUCKETS, "rtt_sum_us")
"""All in a record or none: what the socket hook adds."""


class TcpCounters:
    """Not thread-safe: `metrics.FlowMetrics` guards it."""

    def __init__(self, limit: int) -> None:
        self._pairs = CappedCounters(len(PAIR) + 1, len(COLUMNS), limit * len(WAYS))

    def take(self, records: pa.Table, now_s: float) -> None:
        """Count every report; records without the columns, or with nothing known in them, count nothing."""
        if not all(column in records.column_names for column in COLUMNS):
            return
        records = records.filter(pc.is_valid(records["retransmits_established"]))
        if not records.num_rows:
            return
        turned = oriented(records)
        sender = np.where(turned["reporter"].to_numpy(zero_copy_only=False) == "server", "reverse", "forward")
        labelled = pair_labels(turned).append_column(DIRECTION, pa.array(sender))
        for column in COLUMNS:
            labelled = labelled.append_column(column, pc.fill_null(turned[column], 0))
        keys = (*PAIR, DIRECTION)
        self._pairs.add_grouped(labelled, keys, COLUMNS, now_s)

    def render(self, out: Exposition) -> None:
        """Write what is known; of phases other than established only what happened."""
        names, sums, created = self._pairs.read()
        heads = [label_text((*PAIR, DIRECTION), name) for name in names]
        for family in (RETRANSMISSIONS, TIMEOUTS, RESETS, FAILURES):
            labels: list[str] = []
            values: list[NDArray[np.uint64]] = []
            times: list[NDArray[np.float64]] = []
            for i, (_, column_family, phase) in enumerate(_COUNTED):
                if column_family is family:
                    at = np.flatnonzero(sums[:, i]) if phase in ("syn", "closing") else np.arange(len(heads))
                    tail = f',{PHASE}="{phase}"' if phase else ""
                    labels += [heads[j] + tail for j in at.tolist()]
                    values.append(sums[at, i])
                    times.append(created[at])
            if labels:
                out.write(family, labels, np.concatenate(values), np.concatenate(times))
        buckets = sums[:, len(_COUNTED) : -1]
        at = np.flatnonzero(buckets.any(axis=1))
        out.histogram(RTT, [heads[j] for j in at.tolist()], buckets[at], sums[at, -1] / 1e6, created[at])
