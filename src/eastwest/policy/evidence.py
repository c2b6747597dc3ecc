"""Recorded traffic as the generator, replay and verification see it: distinct connections in columns.

Whoever reads flows (a bundle, a server) groups them to distinct rows first. Who the ends were is already decided: a pod
of the `ClusterState` given along, or something outside. Shapes are (n,) unless stated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eastwest.model.flow import EndKind, Protocol

SYN_BYTES = 80
RST_BYTES = 60
"""What a refused connection weighs at most at L3, per direction: a SYN with its options (60, in IPv6 80 bytes) and the
RST that answers it (40, in IPv6 60). An established one has at least SYN and ACK one way, SYN-ACK and FIN the other."""


@dataclass(frozen=True, slots=True)
class Outsider:
    """An end that is no pod of the cluster. `service` (namespace, name): a Service address whose backend is unknown."""

    kind: EndKind
    address: str
    node: str | None = None
    aws_service: str | None = None
    region: str | None = None
    dns_name: str | None = None
    service: tuple[str, str] | None = None
    ambiguous: bool = False  # the address changed hands during the record: nobody knows who this was

    def __str__(self) -> str:
        name = self.dns_name or (self.node and f"node {self.node}") or self.aws_service
        return f"{self.address} ({name})" if name else self.address


@dataclass(frozen=True, slots=True)
class Side:
    """One end of every row: position in `ClusterState.pods` (-1 = none), else position in `Evidence.outsiders`."""

    pod: NDArray[np.int32]
    outsider: NDArray[np.int32]  # -1 for pods
    address: NDArray[np.uint8]  # (n, 16)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Distinct (source, destination, protocol, port) with what was counted. Ports are the backend's.

    established: the other end answered, so the connection is evidence. directed: it is known who began.
    service_port: the port the client asked for, 0 when no Service was in between.
    """

    src: Side
    dst: Side
    protocol: NDArray[np.uint8]
    port: NDArray[np.uint16]
    service_port: NDArray[np.uint16]
    connections: NDArray[np.int64]
    established: NDArray[np.bool_]
    directed: NDArray[np.bool_]
    first_ns: NDArray[np.int64]
    last_ns: NDArray[np.int64]
    outsiders: tuple[Outsider, ...] = ()
    records: int = 0  # flow records behind the rows
    start_ns: int = 0  # the window, [start, end)
    end_ns: int = 0

    def __len__(self) -> int:
        return len(self.port)


def answered(
    protocol: NDArray[np.integer],
    connections: NDArray[np.int64],
    established: NDArray[np.int64] | None,
    bytes_forward: NDArray[np.int64],
    bytes_reverse: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which rows are evidence: the other end really answered.

    Where the agent counted established connections, that decides; a connection older than the window (none opened) is
    evidence when both ends talked. Without that column an answer is needed, and for TCP more than a SYN and a RST per
    connection, because a refused connection is answered too.
    """
    both: NDArray[np.bool_] = (bytes_forward > 0) & (bytes_reverse > 0)
    if established is not None:
        return np.asarray((established > 0) | ((connections == 0) & both), np.bool_)
    tcp = protocol == Protocol.TCP
    more = (bytes_forward > SYN_BYTES * connections) | (bytes_reverse > RST_BYTES * connections)
    return np.asarray(both & (~tcp | more), np.bool_)


def instant(ns: int) -> str:
    """RFC 3339 in UTC, to the second: `2026-11-22T13:40:00Z` (proleptic Gregorian calendar, days from civil)."""
    days, second = divmod(ns // 1_000_000_000, 86_400)
    days += 719_468
    era, day_of_era = divmod(days, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = year_of_era + era * 400 + (month <= 2)
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    return f"{year:04}-{month:02}-{day:02}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
