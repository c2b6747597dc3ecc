"""One closed window of a node, as the agent's loop hands it to its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from prometheus_client.openmetrics import parser

from eastwest.agent.metrics.agent import ActiveFlows, AgentMetrics, HookTotals
from eastwest.agent.metrics.hooks import Increment
from eastwest.agent.metrics.node import Health
from eastwest.model.batch import Amount, BatchHeader, Books, HookStatus
from eastwest.runtime.openmetrics import TextFormat
from eastwest.wire.batch import Columns, Maybe, Words

START_S = 1_000.0


@dataclass(frozen=True)
class Traffic:
    """What one pod did in one window."""

    pod: str | None
    ingress: int = 0
    egress: int = 0
    opened: int = 0
    reporter: str = "client"
    protocol: int = 6
    lost: int = 0
    unexplained: int = 0


TCP = (
    *(f"{what}_{phase}" for what in ("retransmits", "rtos") for phase in ("syn", "established", "closing")),
    "resets", "connection_failures", "rtt_sum_us", *(f"rtt_bucket_{i:02d}" for i in range(16)),
)  # fmt: skip


def make_columns(traffic: Sequence[Traffic], tcp: dict[str, int] | None = None) -> Columns:
    """Only the columns that metrics read; `tcp` is for the first row, and null in the others."""
    index = np.arange(len(traffic))
    sockets = {name: Maybe(np.full(len(index), tcp.get(name, 0), np.uint64), index == 0) for name in TCP} if tcp else {}
    return sockets | {
        "pod_uid": Words(index, [t.pod for t in traffic]),
        "reporter": Words(index, [t.reporter for t in traffic]),
        "protocol": np.array([t.protocol for t in traffic], np.uint8),
        "connections": np.array([t.opened for t in traffic], np.uint64),
    }


def make_header(traffic: Sequence[Traffic], window: int, hooks: Sequence[HookStatus]) -> BatchHeader:
    books = []
    for i, t in enumerate(traffic):
        hook = Amount(t.ingress + t.egress, t.ingress // 100 + t.egress // 100)
        recorded = Amount(hook.bytes - t.lost - t.unexplained, hook.packets)
        lost = {"flow_map_full": Amount(t.lost, 0)} if t.lost else {}
        books.append(Books(t.pod, f"veth{i}", hook, recorded, lost))
    end = int((START_S + 5 * (window + 1)) * 1e9)
    return BatchHeader(
        cluster="demo", node="node-a", boot_id="b0", seq=window, window_start_ns=end - 5 * 10**9, window_end_ns=end,
        sent_at_ns=end, agent_version="1", records=len(traffic), books=tuple(books), hooks=tuple(hooks),
    )  # fmt: skip


def make_metrics(**changes: Any) -> AgentMetrics:
    given: dict[str, Any] = {"cluster": "demo", "node": "node-a", "version": "1", "boot_id": "b0", "started_s": START_S}
    return AgentMetrics(**(given | changes))


def tick(
    metrics: AgentMetrics,
    window: int,
    *traffic: Traffic,
    hooks: Sequence[HookStatus] = (),
    tcp: dict[str, int] | None = None,
    more: Iterable[Increment] = (),
) -> None:
    totals = HookTotals(
        [t.pod for t in traffic],
        np.array([t.ingress for t in traffic], np.uint64),
        np.array([t.ingress // 100 for t in traffic], np.uint64),
        np.array([t.egress for t in traffic], np.uint64),
        np.array([t.egress // 100 for t in traffic], np.uint64),
    )
    flows = ActiveFlows([t.pod for t in traffic], [t.protocol for t in traffic], np.array([t.opened for t in traffic]))
    metrics.tick(make_header(traffic, window, hooks), make_columns(traffic, tcp), totals, Health(0.01), flows, more)


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(metrics: AgentMetrics) -> Samples:
    return read(metrics.render(TextFormat.OPENMETRICS))


def read(body: bytes) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parser.text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    """The one sample with this name and at least these labels; None when there is none."""
    found = [v for (n, have), v in samples.items() if n == name and set(labels.items()) <= have]
    assert len(found) < 2, f"{name} {labels}: {len(found)} samples"
    return found[0] if found else None
