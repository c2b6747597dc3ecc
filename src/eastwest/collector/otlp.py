"""Sends metrics and flows to an OpenTelemetry collector: OTLP 1.x over HTTP, binary protobuf, gzip (`server --otlp URL`).

A thread of its own behind a bounded queue: a slow or absent receiver never holds up ingest, and everything that is not
sent is counted by signal and cause. What is waited for and tried again follows the OTLP specification, section "Failures".
"""

from __future__ import annotations

import gzip
import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
import pyarrow as pa

from eastwest import __version__
from eastwest.collector import otlp_wire as wire
from eastwest.collector.otlp_signals import OtlpMetrics, encode_logs
from eastwest.model.batch import BatchHeader
from eastwest.runtime.openmetrics import Exposition

log = logging.getLogger(__name__)

METRICS_EVERY_S: Final = 15.0
QUEUE_ROWS: Final = 200_000
LOGS_PER_REQUEST: Final = 2_000
TIMEOUT_S: Final = 10.0
TRIES: Final = 5
FIRST_DELAY_S: Final = 0.5
RETRYABLE: Final = frozenset({429, 502, 503, 504})


class OtlpExport:
    """Inert until `start`. `url` is the receiver's base, such as http://collector:4318; /v1/metrics and /v1/logs follow."""

    def __init__(
        self,
        url: str,
        write_metrics: Callable[[Exposition], None],
        *,
        headers: Mapping[str, str] | None = None,
        metrics_every_s: float = METRICS_EVERY_S,
        queue_rows: int = QUEUE_ROWS,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"--otlp {url!r}: expected http://HOST:PORT or https://HOST (OTLP over HTTP)")
        self._url, self._write_metrics, self._every_s = url.rstrip("/"), write_metrics, metrics_every_s
        self._queue_rows = queue_rows
        self._client = httpx.Client(
            timeout=TIMEOUT_S, headers={"User-Agent": f"eastwest/{__version__}", **(headers or {})}
        )
        self._changed = threading.Condition()  # guards the four below
        self._queue: deque[pa.Table] = deque()
        self._rows = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)

    def start(self) -> None:
        """Begin to send; an absent receiver is no reason not to start."""
        self._thread.start()

    def stop(self) -> None:
        """Try once to send what is left, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        self._client.close()

    def take(self, records: pa.Table, headers: Sequence[BatchHeader]) -> None:
        """Queue named records that were stored; what does not fit is lost and counted."""
        del headers
        with self._changed:
            if self._rows + records.num_rows > self._queue_rows:
                self._counts["logs", "queue_full"] += records.num_rows
                return
            self._queue.append(records)
            self._rows += records.num_rows
            self._changed.notify_all()

    def counts(self) -> dict[tuple[str, str], int]:
        """(signal, cause of loss or "" for sent) -> items since the start."""
        with self._changed:
            return dict(self._counts)

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopping, max(0.0, due - time.monotonic()))
                records = self._queue.popleft() if self._queue else None
                self._rows -= records.num_rows if records is not None else 0
                stopping = self._stopping
            try:
                if records is not None:
                    self._send_logs(records)
                if time.monotonic() >= due or (stopping and records is None):
                    due = time.monotonic() + self._every_s
                    self._send_metrics()
            except Exception:
                log.exception("OTLP export")
            if stopping and records is None:
                return

    def _send_metrics(self) -> None:
        out = OtlpMetrics(time.time_ns())
        self._write_metrics(out)
        resource = {"service.name": "eastwest", "service.version": __version__}
        self._send("metrics", wire.request(resource, __version__, out.metrics), out.points)

    def _send_logs(self, records: pa.Table) -> None:
        for start in range(0, records.num_rows, LOGS_PER_REQUEST):
            part = records.slice(start, LOGS_PER_REQUEST)
            resource = {"service.name": "eastwest", "service.version": __version__}
            clusters = part["cluster"].unique().to_pylist()
            if len(clusters) == 1 and clusters[0]:
                resource["k8s.cluster.name"] = clusters[0]
            body = wire.request(resource, __version__, encode_logs(part, time.time_ns()))
            self._send("logs", body, part.num_rows)

    def _send(self, signal: str, body: bytes, items: int) -> None:
        packed = gzip.compress(body, compresslevel=1)
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        cause = "unreachable"
        for attempt in range(TRIES):
            wait_s = FIRST_DELAY_S * 2**attempt * (0.5 + random.random() / 2)  # noqa: S311 - jitter
            try:
                response = self._client.post(f"{self._url}/v1/{signal}", content=packed, headers=headers)
            except httpx.HTTPError as error:
                log.info("OTLP %s: %s", signal, error)
            else:
                if response.status_code == 200:
                    refused = min(items, wire.rejected(response.content))
                    self._count(signal, "rejected", refused)
                    self._count(signal, "", items - refused)
                    return
                cause = f"http_{response.status_code}"
                if response.status_code not in RETRYABLE:
                    log.warning("OTLP %s: HTTP %d %s", signal, response.status_code, response.text[:200])
                    break
                wait_s = max(wait_s, _seconds(response.headers.get("Retry-After")))
            with self._changed:
                if attempt == TRIES - 1 or self._changed.wait_for(lambda: self._stopping, wait_s):
                    break
        self._count(signal, cause, items)

    def _count(self, signal: str, cause: str, items: int) -> None:
        if items:
            with self._changed:
                self._counts[signal, cause] += items


def _seconds(text: str | None) -> float:
    """Retry-After (RFC 9110, section 10.2.3: seconds or a date) in seconds, at most a minute; 0 for none or nonsense."""
    if text is None:
        return 0.0
    try:
        wait_s = float(text) if text.strip().isdecimal() else parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(wait_s, 0.0), 60.0)
