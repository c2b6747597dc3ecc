"""What the server publishes about traffic and the nodes that report it: pair counters, freshness of nodes, hooks, export.

Names workloads, so whoever reads it must be allowed to read flows (`api.routes.metrics`); the server's own figures, which
name nobody, are the collector's (`collector.metrics`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import pyarrow as pa

from eastwest.model.batch import BatchHeader
from eastwest.model.prices import PriceTable
from eastwest.query.metrics import pairs
from eastwest.query.metrics.pairs import FlowMetrics
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text

NODE: Final = ("cluster", "node")
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
FAMILIES: Final = (LAST_WINDOW, HOOKS, EXPORTED, EXPORT_LOST, *pairs.FAMILIES)

FORGET_S: Final = 86_400.0
"""A node that has been silent for a day is taken for removed, and no longer published."""

Exports = Callable[[], Mapping[tuple[str, str], int]]
"""(signal, cause of loss or "") -> items since the server started."""


class TrafficMetrics:
    """Fed by the collector (`take`), read by scrapes (`write`) and the OTLP export. Thread-safe."""

    def __init__(
        self,
        limit: int = pairs.DEFAULT_LIMIT,
        exports: Exports = dict,
        prices: PriceTable | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.flows = FlowMetrics(limit, prices)
        self._exports, self._clock = exports, clock
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

    def write(self, out: Exposition) -> None:
        """Add every family to one answer."""
        now_s = self._clock()
        with self._lock:
            windows = {node: end for node, end in self._last_window.items() if now_s - end < FORGET_S}
            hooks = {key: on for key, on in self._hooks.items() if key[:2] in windows}
        out.write(LAST_WINDOW, [label_text(NODE, node) for node in windows], list(windows.values()))
        out.write(HOOKS, [label_text(HOOKS.labels, hook) for hook in hooks], list(hooks.values()))
        exports = self._exports()
        sent = {signal: n for (signal, cause), n in exports.items() if not cause}
        lost = {key: n for key, n in exports.items() if key[1]}
        born = [self._started_s]
        out.write(EXPORTED, [label_text(("signal",), (s,)) for s in sent], list(sent.values()), born * len(sent))
        out.write(
            EXPORT_LOST, [label_text(EXPORT_LOST.labels, key) for key in lost], list(lost.values()), born * len(lost)
        )
        self.flows.render(out, now_s)
