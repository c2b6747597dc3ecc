"""The agent's metrics: takes in each closed window once, answers any number of scrapes with the same bytes.

The agent's loop calls `tick`; `exporter` calls `render`. A scrape reads no kernel state and changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import hoststats
from eastwest.agent.metrics import families as m
from eastwest.agent.metrics import reference
from eastwest.agent.metrics.hooks import Increment
from eastwest.agent.metrics.names import PodNames
from eastwest.agent.metrics.node import Health, NodeMetrics
from eastwest.agent.metrics.pods import PodCounters
from eastwest.model.batch import BatchHeader
from eastwest.model.flow import Protocol
from eastwest.runtime.openmetrics import Exposition, Family, TextFormat
from eastwest.wire.batch import ColumnData, Columns, Maybe, Words

_PROTOCOL: dict[int, str] = {
    Protocol.TCP: "TCP", Protocol.UDP: "UDP", Protocol.ICMP: "ICMP", Protocol.ICMPV6: "ICMP", Protocol.SCTP: "SCTP",
}  # fmt: skip


_TCP: tuple[tuple[str, Family, tuple[str, ...]], ...] = (
    *((f"retransmits_{phase}", m.RETRANSMISSIONS, (phase,)) for phase in m.PHASES),
    *((f"rtos_{phase}", m.TIMEOUTS, (phase,)) for phase in m.PHASES),
    ("resets", m.RESETS, ()),
    ("connection_failures", m.CONNECT_FAILURES, ()),
)
"""Record column -> pod counter; each end counts for its own socket."""


@dataclass(frozen=True, slots=True)
class HookTotals:
    """What passed each interface's hook in a window, by direction as the pod sees it; all of shape (n,).

    `pod_uids[i]` is None where the interface's pod is not known (yet).
    """

    pod_uids: Sequence[str | None]
    ingress_bytes: NDArray[Any]
    ingress_packets: NDArray[Any]
    egress_bytes: NDArray[Any]
    egress_packets: NDArray[Any]
    of_host_pods: int = 0
    """That many of the last rows are host-network pods: no interface of their own, so nobody counts their open flows."""


@dataclass(frozen=True, slots=True)
class ActiveFlows:
    """Entries of the flow map at the end of a window: `counts[i]` connections of `protocols[i]` for `pod_uids[i]`."""

    pod_uids: Sequence[str | None]
    protocols: Sequence[int]
    counts: NDArray[Any]


class AgentMetrics:
    """Thread-safe: `_lock` guards everything below it."""

    def __init__(
        self,
        *,
        cluster: str,
        node: str,
        version: str,
        boot_id: str,
        started_s: float,
        names: PodNames | None = None,
        reference_names: bool = False,
    ) -> None:
        self._names, self._reference, self._node_name = names, reference_names, node
        self._instance_id = hoststats.instance_id() if reference_names else ""
        self._lock = threading.Lock()
        self.pods = PodCounters(node, names.get) if names else PodCounters(node, name_wait_s=0)
        self._node = NodeMetrics(cluster, node, version, boot_id, started_s)
        self._interface_of: dict[str, str] = {}  # by pod UID, of the last window
        self._now_s = started_s
        self._rendered: dict[TextFormat, bytes] = {}

    def tick(
        self,
        header: BatchHeader,
        columns: Columns,
        totals: HookTotals,
        health: Health,
        active: ActiveFlows | None = None,
        more: Iterable[Increment] = (),
    ) -> None:
        """Count one closed window: its books and hooks, its records (for connections), its totals by direction.

        `more`: what optional hooks add (see `hooks`).
        """
        if self._names:
            self._names.read_pod_logs()
        with self._lock:
            self._now_s = header.window_end_ns / 1e9
            self._interface_of = {b.pod_uid: b.interface for b in header.books if b.pod_uid}
            self._count_totals(totals)
            self._count_books(header)
            self._count_opened(columns, header.records)
            self._count_tcp(columns, header.records)
            self._count_more(more)
            if active is not None:
                self._set_active(active)
            self.pods.retire(self._now_s)
            if self._names:
                self._names.keep(self.pods.uids())
            self._node.tick(header, health, [b.interface for b in header.books])
            self._rendered = {}

    def nameless(self) -> list[str]:
        """UIDs of published pods that nobody has named, also of those that have ended."""
        with self._lock:
            return [uid for uid in self.pods.uids() if uid and self._names and self._names.get(uid) is None]

    def render(self, text_format: TextFormat) -> bytes:
        """The answer to a scrape, made once per window and format."""
        with self._lock:
            if text_format not in self._rendered:
                self._rendered[text_format] = self._render(text_format)
            return self._rendered[text_format]

    def _render(self, text_format: TextFormat) -> bytes:
        out = Exposition(text_format)
        self.pods.render(out, self._now_s, self._node.hooks_on)
        self._node.render(out)
        if self._reference:
            reference.render(
                out,
                self.pods,
                self._node.allowances,
                node=self._node_name,
                instance_id=self._instance_id,
                interface_of=self._interface_of,
                now_s=self._now_s,
            )
        return out.finish()

    def _count_totals(self, totals: HookTotals) -> None:
        rows = self.pods.rows([uid or "" for uid in totals.pod_uids], self._now_s)
        self.pods.without_active(rows[len(rows) - totals.of_host_pods :])
        self.pods.add(m.INGRESS_BYTES, rows, totals.ingress_bytes)
        self.pods.add(m.INGRESS_PACKETS, rows, totals.ingress_packets)
        self.pods.add(m.EGRESS_BYTES, rows, totals.egress_bytes)
        self.pods.add(m.EGRESS_PACKETS, rows, totals.egress_packets)

    def _count_books(self, header: BatchHeader) -> None:
        rows = self.pods.rows([b.pod_uid or "" for b in header.books], self._now_s)
        self.pods.add(m.UNEXPLAINED_BYTES, rows, np.array([abs(b.unexplained.bytes) for b in header.books], np.int64))
        for row, book in zip(rows, header.books, strict=True):
            for cause, amount in (*book.lost.items(), *book.unseen.items()):
                self.pods.add(m.LOST_BYTES, np.array([row]), np.array([amount.bytes]), (cause,))
                self.pods.add(m.LOST_PACKETS, np.array([row]), np.array([amount.packets]), (cause,))

    def _count_opened(self, columns: Columns, records: int) -> None:
        if not records:
            return
        pods, reporter = columns["pod_uid"], columns["reporter"]
        protocol, opened = columns["protocol"], columns["connections"]
        assert isinstance(pods, Words)
        assert isinstance(reporter, Words)
        assert not isinstance(protocol, Words | Maybe)
        assert not isinstance(opened, Words | Maybe)
        rows = self.pods.rows([uid or "" for uid in pods.words], self._now_s)[pods.codes]
        is_server = np.array([word == "server" for word in reporter.words])[reporter.codes]
        for number in np.unique(protocol).tolist():
            name = _PROTOCOL.get(number, "other")
            for direction, side in (("ingress", is_server), ("egress", ~is_server)):
                at = (protocol == number) & side
                self.pods.add(m.FLOWS_OPENED, rows[at], opened[at], (name, direction))

    def _count_tcp(self, columns: Columns, records: int) -> None:
        if not records or "retransmits_established" not in columns:
            return
        pods = columns["pod_uid"]
        assert isinstance(pods, Words)
        rows = self.pods.rows([uid or "" for uid in pods.words], self._now_s)[pods.codes]
        for column, family, labels in _TCP:
            self.pods.add(family, rows, _known(columns[column]), labels)
        buckets = np.stack([_known(columns[f"rtt_bucket_{i:02d}"]) for i in range(len(m.RTT.bounds) + 1)], axis=1)
        self.pods.observe(m.RTT, rows, buckets, _known(columns["rtt_sum_us"]) / 1e6)

    def _count_more(self, more: Iterable[Increment]) -> None:
        for one in more:
            row = self.pods.rows([one.pod_uid or ""], self._now_s)
            if one.family.bounds:
                self.pods.observe(one.family, row, one.amount, np.array([one.total]))
            else:
                self.pods.add(one.family, row, one.amount, one.labels)

    def _set_active(self, active: ActiveFlows) -> None:
        rows = self.pods.rows([uid or "" for uid in active.pod_uids], self._now_s)
        names = np.array([_PROTOCOL.get(p, "other") for p in active.protocols])
        sums: Mapping[str, NDArray[Any]] = {}
        width = int(rows.max(initial=-1)) + 1
        sums = (
            {p: np.bincount(rows[names == p], active.counts[names == p], width) for p in m.PROTOCOLS} if width else {}
        )
        for name in m.PROTOCOLS:
            values = sums.get(name, np.zeros(0))
            self.pods.set(m.FLOWS_ACTIVE, np.arange(len(values)), values, (name,))


def _known(column: ColumnData) -> NDArray[Any]:
    """A measure with 0 where it is not known."""
    assert not isinstance(column, Words)
    return np.where(column.valid, column.values, 0) if isinstance(column, Maybe) else column
