"""Connections' increments to flow records: by socket cookie, then folded into columns. Pure; no guess.

A flow entry holds the cookie of the local socket whose packets it counted. What finds no flow (a connection refused
before its first packet reached the pod's interface, a host-network socket) is handed back to become its own record.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from eastwest.agent.sock.record import PHASES
from eastwest.model.histogram import BUCKETS

Records = npt.NDArray[np.void]

SUMS: Final = {
    "connection_attempts": ("attempts", None),
    "connection_failures": ("failures", None),
    "resets": ("resets", None),
    "timeouts": ("timeouts", None),
    **{f"retransmits_{phase}": ("retransmits", i) for i, phase in enumerate(PHASES)},
    **{f"rtos_{phase}": ("rtos", i) for i, phase in enumerate(PHASES)},
    "rtt_count": ("rtt_count", None),
    "rtt_sum_us": ("rtt_sum_us", None),
    **{f"rtt_bucket_{i:02d}": ("rtt_histogram", i) for i in range(BUCKETS)},
}
"""Column -> (field of INCREMENT, index in it): every column that merges by adding, but for the connect times."""

COLUMNS: Final = (*SUMS, "connect_sum_us", "connect_count", "rtt_min_us")
"""Every column that follows from this hook."""


def match(cookies: npt.NDArray[np.uint64], flow_cookies: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """For each socket the row of its flow, or -1. `flow_cookies`: shape (n_flows,), 0 where none is known.

    A cookie that two flows hold (a socket seen at two interfaces) goes to the first, so that nothing counts twice.
    """
    if not flow_cookies.size:
        return np.full(cookies.size, -1, np.int64)
    order = np.argsort(flow_cookies, kind="stable")
    place = np.searchsorted(flow_cookies[order], cookies).clip(max=flow_cookies.size - 1)
    row = order[place]
    return np.where((flow_cookies[row] == cookies) & (cookies != 0), row, -1)


def fold(increments: Records, rows: npt.NDArray[np.int64], n_rows: int) -> dict[str, npt.NDArray[np.uint64]]:
    """Columns of shape (n_rows,): the sum of the increments of each row (`rows` >= 0; others are left out).

    `rtt_min_us` is the least, 0 where nothing is known. `connect_sum_us` and `connect_count` give the mean.
    """
    used = rows >= 0
    part, row = increments[used], rows[used]
    columns = {
        name: _sum(part[field] if index is None else part[field][:, index], row, n_rows)
        for name, (field, index) in SUMS.items()
    }
    connected = part["connect_us"] > 0
    columns["connect_sum_us"] = _sum(part["connect_us"][connected], row[connected], n_rows)
    columns["connect_count"] = _sum(connected, row, n_rows)
    columns["rtt_min_us"] = _least(part["rtt_min_us"], row, n_rows)
    return columns


def _sum(values: npt.NDArray[np.generic], row: npt.NDArray[np.int64], n_rows: int) -> npt.NDArray[np.uint64]:
    # Weights are doubles: exact up to 2**53, far above any window's sum.
    return np.bincount(row, weights=values.astype(np.float64), minlength=n_rows).astype(np.uint64)


def _least(values: npt.NDArray[np.uint32], row: npt.NDArray[np.int64], n_rows: int) -> npt.NDArray[np.uint64]:
    none = np.uint32(0xFFFFFFFF)
    least = np.full(n_rows, none, np.uint32)
    np.minimum.at(least, row, np.where(values == 0, none, values))
    return np.where(least == none, 0, least).astype(np.uint64)
