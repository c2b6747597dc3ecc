"""What the hooks beside flow sensed in one window, and its columns on the window's edges."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.abi import RECORD_KEY_BYTES
from eastwest.agent.dns.columns import server_names
from eastwest.agent.dns.names import Names
from eastwest.agent.dns.tally import DnsTally
from eastwest.agent.drop.edges import Attributed
from eastwest.agent.drop.ledger import Drops
from eastwest.agent.edges import Edges, with_silent
from eastwest.agent.sock import health
from eastwest.agent.sock.health import Health
from eastwest.model.flow import Protocol
from eastwest.wire.batch import ColumnData, Maybe, Words

_UNKNOWN_WHEN_ZERO: Final = frozenset({"rtt_min_us"})


@dataclass(frozen=True, slots=True)
class Sensed:
    """What one window brought; None where the hook is off or refused."""

    health: Health | None = None
    drops: Drops | None = None
    attributed: Attributed | None = None  # the drops' pods and edges
    losses: NDArray[np.bool_] | None = None  # which of the drops are lost packets, see DropHook.losses
    dns: DnsTally | None = None
    counters: dict[str, int] = field(default_factory=dict)  # losses and limits, "sock_lost_records" …; totals
    at_ns: int = 0  # CLOCK_MONOTONIC


def columns_of(edges: Edges, sensed: Sensed, names: Names) -> tuple[Edges, dict[str, ColumnData]]:
    """The edges, with those added that only the sockets or the drops know, and every column of these hooks, (n,) each."""
    dropping, dropped = _dropped(sensed)
    with_drops, row = with_silent(edges, dropping, sensed.at_ns)
    if sensed.health is None:
        joined, figures = with_drops, {name: np.zeros(len(with_drops), np.uint64) for name in health.COLUMNS}
    else:
        joined, figures = health.onto(with_drops, sensed.health)
    known = np.asarray((joined.keys["protocol"] == Protocol.TCP) & (sensed.health is not None))
    result: dict[str, ColumnData] = {
        name: Maybe(column, known & (column > 0) if name in _UNKNOWN_WHEN_ZERO else known)
        for name, column in figures.items()
    }
    drops = np.zeros(len(joined), np.uint64)
    np.add.at(drops, row, dropped)
    result["drops"] = Maybe(drops, np.full(len(joined), sensed.drops is not None))
    result["dst_dns_name"] = server_names(joined, names, time.monotonic_ns())
    result["src_dns_name"] = Words(np.zeros(len(joined), np.intp), (None,))
    return joined, result


def _dropped(sensed: Sensed) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The edges on which packets were lost (m, 8), with repetitions, and how many (m,); those of no edge are in
    `Sensed.drops` only."""
    if sensed.drops is None or sensed.attributed is None or sensed.losses is None:
        return np.zeros((0, RECORD_KEY_BYTES // 8), np.uint64), np.zeros(0, np.uint64)
    lost = sensed.attributed.has_edge & sensed.losses
    return sensed.attributed.words[lost], sensed.drops["value"]["packets"][lost]
