"""Export to a collector that others wrote: it accepts all of it, and what it forwards is what was published."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from deploy.otlp import attributes
from deploy.otlp_collector import Collector
from eastwest.collector import otlp, prices
from eastwest.collector.otlp import OtlpExport
from eastwest.query.metrics.traffic import TrafficMetrics
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text
from store.factories_flows import NOON, internet, pod, record, table

UI = pod("src", "shop", "ui", ip="10.0.0.1")
ROWS = table(
    record(UI, pod("dst", "shop", "carts", ip="10.0.1.1", node="node-b"), bytes_forward=2**53 + 1),
    record(UI, internet("dst", "2001:db8::1"), protocol=132),
)
"""One counter is past what a double holds exactly."""
HISTOGRAM = Family("x_seconds", Kind.HISTOGRAM, "x", "seconds", ("a",), bounds=(0.5, 1.0))
ODD = 'q"\\\nä'


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with Collector(tmp_path) as running:
        yield running


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def points_of(metric: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], float]]:
    """(sample name, labels, value) of one forwarded metric, named as the text answer names its samples."""
    name = metric["name"]
    for point in metric.get("sum", {}).get("dataPoints", []):
        assert metric["sum"]["aggregationTemporality"] == "AGGREGATION_TEMPORALITY_CUMULATIVE"
        assert metric["sum"]["isMonotonic"]
        yield f"{name}_total", attributes(point), float(point.get("asInt", point.get("asDouble", 0)))
        yield f"{name}_created", attributes(point), int(point["startTimeUnixNano"]) / 1e9
    for point in metric.get("gauge", {}).get("dataPoints", []):
        yield name, attributes(point), float(point.get("asInt", point.get("asDouble", 0)))
    for point in metric.get("histogram", {}).get("dataPoints", []):
        labels, below = attributes(point), 0
        for bound, count in zip([*point["explicitBounds"], "+Inf"], point["bucketCounts"], strict=True):
            below += int(count)
            yield f"{name}_bucket", labels | {"le": str(bound)}, below
        yield f"{name}_count", labels, int(point["count"])
        yield f"{name}_sum", labels, point["sum"]
        yield f"{name}_created", labels, int(point["startTimeUnixNano"]) / 1e9


def test_every_metric_is_forwarded_as_it_is_scraped(collector: Collector) -> None:
    traffic = TrafficMetrics(clock=lambda: 1000.0, prices=prices.shipped())
    traffic.take(ROWS, [])

    def write(out: Exposition) -> None:
        traffic.write(out)
        out.histogram(HISTOGRAM, [label_text(("a",), (ODD,))], np.array([[1, 0, 2]]), [3.5], [1.5])

    text = Exposition()
    write(text)
    scraped = {
        (sample.name, frozenset((k, v) for k, v in sample.labels.items() if v)): sample.value
        for family in text_string_to_metric_families(text.finish().decode())
        for sample in family.samples
    }
    export = OtlpExport(collector.url, write, metrics_every_s=1000)
    export.start()
    wait_for(lambda: collector.forwarded.got("metrics"))
    wait_for(lambda: export.counts())
    [(signal, sent)] = export.counts().items()
    assert signal == ("metrics", "")
    metrics = [
        metric
        for message in collector.forwarded.got("metrics")
        for resource in message["resourceMetrics"]
        for scope in resource["scopeMetrics"]
        for metric in scope["metrics"]
    ]
    forwarded = {(name, frozenset(labels.items())): value for m in metrics for name, labels, value in points_of(m)}
    export.stop()
    assert set(forwarded) == set(scraped)
    assert forwarded == pytest.approx(scraped)
    kinds = ("sum", "gauge", "histogram")
    assert sum(len(m.get(kind, {}).get("dataPoints", [])) for m in metrics for kind in kinds) == sent > 20
    [exact] = [
        point["asInt"]
        for m in metrics
        if m["name"] == "eastwest_pair_bytes"
        for point in m["sum"]["dataPoints"]
        if (attributes(point)["direction"], attributes(point)["destination"]) == ("forward", "carts")
    ]
    assert int(exact) == 2**53 + 1


def test_flows_are_forwarded_as_they_are_stored(collector: Collector) -> None:
    export = OtlpExport(collector.url, lambda _: None)
    export.start()
    export.take(ROWS, [])
    wait_for(lambda: export.counts())
    export.stop()
    assert export.counts() == {("logs", ""): 2}
    wait_for(lambda: collector.forwarded.got("logs"))
    [message] = collector.forwarded.got("logs")
    [resource] = message["resourceLogs"]
    assert attributes(resource["resource"])["k8s.cluster.name"] == "c1"
    first, second = resource["scopeLogs"][0]["logRecords"]
    assert int(first["timeUnixNano"]) == NOON + 2 * 10**9
    assert first["severityNumber"] == "SEVERITY_NUMBER_INFO"
    for got, row in zip((first, second), ROWS.to_pylist(), strict=True):
        seen = attributes(got)
        ours = {k.removeprefix("eastwest."): v for k, v in seen.items() if k.startswith("eastwest.")}
        plain = {k: v for k, v in row.items() if k in ours}
        assert {k: str(v) for k, v in ours.items()} == {k: str(v) for k, v in plain.items()}
        unknown = {k for k, v in row.items() if v is None}
        assert not unknown & set(ours)
        named = {"cluster", "last_seen_ns", "src_ip", "src_port", "dst_ip", "dst_port", "protocol"}
        assert set(row) - unknown - named == set(ours)
    assert attributes(second)["network.transport"] == "sctp"
    assert attributes(second)["destination.address"] == "2001:db8::1"


def test_a_collector_that_was_down_gets_what_waited(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "FIRST_DELAY_S", 0.2)
    monkeypatch.setattr(otlp, "TRIES", 600)
    export = OtlpExport(collector.url, lambda _: None, metrics_every_s=1000)
    collector.stop()
    export.start()
    for _ in range(3):
        export.take(ROWS, [])
    assert not export.counts()
    collector.start()
    wait_for(lambda: export.counts().get(("logs", "")) == 6)
    export.stop()
    assert set(export.counts()) == {("logs", "")}
    collector.stop()
    assert sum(
        len(scope["logRecords"])
        for message in collector.forwarded.got("logs")
        for resource in message["resourceLogs"]
        for scope in resource["scopeLogs"]
    ) == 6  # fmt: skip


def test_a_signal_that_a_collector_does_not_take_is_counted(tmp_path: Path) -> None:
    with Collector(tmp_path, "--otlp-receiver-logs-disabled") as collector:
        refused = httpx.post(f"{collector.url}/v1/logs", content=b"").status_code
        export = OtlpExport(collector.url, lambda _: None, metrics_every_s=1000)
        export.start()
        export.take(ROWS, [])
        wait_for(lambda: export.counts())
        export.stop()
    assert refused >= 400
    assert export.counts() == {("logs", f"http_{refused}"): 2}
