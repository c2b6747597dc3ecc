"""What the hooks beside flow sensed in one window, and its columns on the window's edges."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.dns.columns import server_names
from eastwest.agent.dns.names import Names
from eastwest.agent.dns.tally import DnsTally
from eastwest.agent.drop.edges import Attributed
from eastwest.agent.drop.ledger import Drops
from eastwest.agent.edges import Edges
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


def columns_of(edges: Edges, sensed: Sensed, names: Names) -> tuple[Edges, dict[str, ColumnData]]:
    """The edges, with those added that only the sockets know, and every column of these hooks, (n,) each."""
    if sensed.health is None:
        joined, figures = edges, {name: np.zeros(len(edges), np.uint64) for name in health.COLUMNS}
    else:
        joined, figures = health.onto(edges, sensed.health)
    known = np.asarray((joined.keys["protocol"] == Protocol.TCP) & (sensed.health is not None))
    result: dict[str, ColumnData] = {
        name: Maybe(column, known & (column > 0) if name in _UNKNOWN_WHEN_ZERO else known)
        for name, column in figures.items()
    }
    result["drops"] = _drops_column(joined, sensed)
    result["dst_dns_name"] = server_names(joined, names, time.monotonic_ns())
    result["src_dns_name"] = Words(np.zeros(len(joined), np.intp), (None,))
    return joined, result


def _drops_column(edges: Edges, sensed: Sensed) -> Maybe:
    """Packets lost on each edge; those of no edge are in `Sensed.drops` only."""
    packets = np.zeros(len(edges), np.uint64)
    if sensed.drops is None or sensed.attributed is None or sensed.losses is None:
        return Maybe(packets, np.zeros(len(edges), np.bool_))
    row_of = {words.tobytes(): row for row, words in enumerate(edges.words)} if len(sensed.drops) else {}
    for i in np.flatnonzero(sensed.attributed.has_edge & sensed.losses).tolist():
        row = row_of.get(sensed.attributed.words[i].tobytes())
        if row is not None:
            packets[row] += sensed.drops["value"]["packets"][i]
    return Maybe(packets, np.ones(len(edges), np.bool_))
