"""What the server publishes about itself and the nodes that report to it, beside the pair counters of `metrics`.

It keeps no figures of the collector or the store: they are asked for at each scrape, through the callables given.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from eastwest.model.batch import BatchHeader
from eastwest.query import metrics
from eastwest.query.metrics import FlowMetrics
from eastwest.runtime.openmetrics import Exposition, Family, Kind, TextFormat, label_text

NODE: Final = ("cluster", "node")
INFO: Final = Family("eastwest_server", Kind.INFO, "The server.", labels=("version",))
STORE_UP: Final = Family("eastwest_server_store_up", Kind.GAUGE, "1 when the store answers.")
STORE_RESTARTS: Final = Family(
    "eastwest_server_store_restarts", Kind.COUNTER, "Times the store's process was started again."
)
BATCHES: Final = Family("eastwest_server_batches", Kind.COUNTER, "Batches made durable.", "batches")
RECORDS: Final = Family("eastwest_server_records", Kind.COUNTER, "Flow records made durable.", "records")
REPEATED: Final = Family(
    "eastwest_server_batches_repeated", Kind.COUNTER, "Batches received again, and not stored again."
)
REFUSED: Final = Family(
    "eastwest_server_batches_refused", Kind.COUNTER, "Batches not taken in, by cause.", labels=("cause",)
)
RETRIES: Final = Family("eastwest_server_insert_retries", Kind.COUNTER, "Inserts that the store refused at first.")
PENDING: Final = Family(
    "eastwest_server_pending_records", Kind.GAUGE, "Records accepted and not yet durable.", "records"
)
LAST_WINDOW: Final = Family(
    "eastwest_server_node_last_window_end_seconds",
    Kind.GAUGE,
    "End of the newest window a node reported, Unix time.",
    "seconds",
    NODE,
)
HOOKS: Final = Family(
    "eastwest_server_node_hook_on",
    Kind.GAUGE,
    "1 when a node's kernel hook works, 0 when refused.",
    labels=(*NODE, "hook"),
)
EXPORTED: Final = Family(
    "eastwest_server_otlp_exported", Kind.COUNTER, "Items sent by OTLP, by signal.", labels=("signal",)
)
EXPORT_LOST: Final = Family(
    "eastwest_server_otlp_lost", Kind.COUNTER, "Items not sent by OTLP, by cause.", labels=("signal", "cause")
)

SERVER_FAMILIES: Final = (
    INFO, STORE_UP, STORE_RESTARTS, BATCHES, RECORDS, REPEATED, REFUSED, RETRIES, PENDING, LAST_WINDOW, HOOKS, EXPORTED, EXPORT_LOST,
)  # fmt: skip
FAMILIES: Final = (*SERVER_FAMILIES, *metrics.FAMILIES)

_TOTALS: Final = (
    (BATCHES, "batches"), (RECORDS, "records"), (REPEATED, "batches_repeated"), (RETRIES, "insert_retries"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the server's own figures come from; each is asked once per scrape."""

    counts: Callable[[], tuple[Mapping[str, int], Mapping[str, int]]]  # totals by name, refused batches by cause
    pending_records: Callable[[], int]
    store: Callable[[], tuple[bool, int]]  # answers, restarts
    exports: Callable[[], Mapping[tuple[str, str], int]] = dict  # (signal, cause or "") -> items


class ServerMetrics:
    """Fed by the collector (`take`), read by the /metrics route (`render`). Thread-safe."""

    def __init__(
        self, version: str, sources: Sources, limit: int = metrics.DEFAULT_LIMIT, clock: Callable[[], float] = time.time
    ) -> None:
        self.flows = FlowMetrics(limit)
        self._version, self._sources, self._clock = version, sources, clock
        self._started_s = clock()
        self._lock = threading.Lock()  # guards the two below
        self._last_window: dict[tuple[str, str], float] = {}
        self._hooks: dict[tuple[str, str, str], float] = {}

    def take(self, records: pa.Table, headers: Iterable[BatchHeader]) -> None:
        """A block of named records was stored for the first time, from the batches of `headers`."""
        self.flows.take(records, self._clock())
        with self._lock:
            for header in headers:
                node = (header.cluster, header.node)
                self._last_window[node] = max(self._last_window.get(node, 0.0), header.window_end_ns / 1e9)
                self._hooks.update({(*node, h.name): float(h.state == "on") for h in header.hooks if h.state != "off"})

    def render(self, text_format: TextFormat) -> bytes:
        """The answer to one scrape."""
        out = Exposition(text_format)
        out.write(INFO, [label_text(INFO.labels, (self._version,))], [1])
        self._collector(out)
        with self._lock:
            windows, hooks = dict(self._last_window), dict(self._hooks)
        out.write(LAST_WINDOW, [label_text(NODE, node) for node in windows], list(windows.values()))
        out.write(HOOKS, [label_text(HOOKS.labels, hook) for hook in hooks], list(hooks.values()))
        self.flows.render(out, self._clock())
        return out.finish()

    def _collector(self, out: Exposition) -> None:
        totals, refused = self._sources.counts()
        up, restarts = self._sources.store()
        born = [self._started_s]
        for family, name in _TOTALS:
            out.write(family, [""], [totals.get(name, 0)], born)
        out.write(
            REFUSED,
            [label_text(REFUSED.labels, (cause,)) for cause in refused],
            list(refused.values()),
            born * len(refused),
        )
        out.write(PENDING, [""], [self._sources.pending_records()])
        out.write(STORE_UP, [""], [int(up)])
        out.write(STORE_RESTARTS, [""], [restarts], born)
        exports = self._sources.exports()
        sent = {signal: n for (signal, cause), n in exports.items() if not cause}
        lost = {key: n for key, n in exports.items() if key[1]}
        out.write(EXPORTED, [label_text(("signal",), (s,)) for s in sent], list(sent.values()), born * len(sent))
        out.write(
            EXPORT_LOST, [label_text(EXPORT_LOST.labels, key) for key in lost], list(lost.values()), born * len(lost)
        )
