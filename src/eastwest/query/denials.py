"""Flows that policies deny, or would deny, beside what of them was let through before; and TCP's health in a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from eastwest.store.protocol import Store
from eastwest.store.questions import Denials, Established, Range, TcpSums

NO_PORT: Final = 0


@dataclass(frozen=True, slots=True)
class DeniedFlow:
    """Connections between two ends on a server's port since the range began. Ends are `ns/name[Kind]`, or outside.

    cells: (namespace, node) of the pods that decided. seen_connections: established ones in the lookback, 0: none.
    """

    src: str
    dst: str
    src_ip: str
    dst_ip: str
    protocol: int
    port: int
    reasons: tuple[str, ...]
    denied: int
    would_deny: int
    connections: int
    cells: tuple[tuple[str, str], ...]
    seen_connections: int = 0
    last_seen_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Tcp:
    """Counts of one window; None where no hook tells."""

    segments: int
    retransmits: int | None
    attempts: int | None
    failures: int | None


def denied_flows(store: Store, range_: Range, lookback: Range, namespaces: Sequence[str]) -> list[DeniedFlow]:
    """What pods of `namespaces` denied in `range_`, or would have, and whether `lookback` saw it let through."""
    chosen = tuple(sorted(namespaces))
    found: dict[tuple[str, str, int, int], DeniedFlow] = {}
    for row in store.ask(Denials(range_, chosen)).to_pylist():
        key = (row["source"], row["target"], row["protocol"], row["dst_port"])
        found[key] = _with(found.get(key), key, row)
    if not found:
        return []
    ports = tuple(sorted({port for *_, port in found}))
    for row in store.ask(Established(lookback, chosen, ports)).to_pylist():
        key = (row["source"], row["target"], row["protocol"], row["dst_port"])
        if key in found:
            found[key] = replace(found[key], seen_connections=row["answered"], last_seen_ns=row["last_ns"])
    return [found[key] for key in sorted(found)]


def _with(before: DeniedFlow | None, key: tuple[str, str, int, int], row: dict[str, Any]) -> DeniedFlow:
    src, dst, protocol, port = key
    start = before or DeniedFlow(src, dst, row["src_address"], row["dst_address"], protocol, port, (), 0, 0, 0, ())
    return replace(
        start,
        reasons=tuple(sorted({*start.reasons, row["reason"]} - {""})),
        denied=start.denied + row["denied"],
        would_deny=start.would_deny + row["would_deny"],
        connections=start.connections + row["opened"],
        cells=tuple(sorted({*start.cells, (row["namespace"], row["decided_on"])})),
    )


def tcp(store: Store, range_: Range, namespaces: Sequence[str]) -> Tcp:
    """TCP of the pods of `namespaces`, without what policies denied."""
    (row,) = store.ask(TcpSums(range_, tuple(sorted(namespaces)))).to_pylist()
    return Tcp(row["segments"] or 0, row["retransmits"], row["attempts"], row["failures"])
