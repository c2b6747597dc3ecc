"""Export to a real OTLP receiver in another process: what arrives, and that nothing is lost without being counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2

from deploy.otlp import Receiver, attributes
from eastwest.collector import otlp, otlp_wire
from eastwest.collector.otlp import OtlpExport
from eastwest.collector.otlp_signals import encode_logs
from eastwest.query.metrics.traffic import TrafficMetrics
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text
from store.factories_flows import NOON, internet, pod, record, table

UI = pod("src", "shop", "ui", ip="10.0.0.1")
ROWS = table(
    record(UI, pod("dst", "shop", "carts", ip="10.0.1.1", node="node-b")), record(UI, internet("dst", "2001:db8::1"))
)
RTT = Family("x_seconds", Kind.HISTOGRAM, "x", "seconds", ("a",), bounds=(0.5, 1.0))


@pytest.fixture
def receive(tmp_path: Path) -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def start(*answers: str) -> Receiver:
        made.append(Receiver(tmp_path / f"got{len(made)}.jsonl", *answers))
        return made[-1]

    yield start
    for receiver in made:
        receiver.stop()


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_flows_arrive_as_logs(receive: Callable[..., Receiver]) -> None:
    receiver = receive()
    export = OtlpExport(receiver.url, lambda _: None)
    export.start()
    export.take(ROWS, [])
    wait_for(lambda: receiver.got("logs"))
    export.stop()
    [message] = receiver.got("logs")
    [resource] = message["resourceLogs"]
    assert attributes(resource["resource"]) == {
        "service.name": "eastwest", "service.version": "0.1.0", "k8s.cluster.name": "c1",
    }  # fmt: skip
    first, second = resource["scopeLogs"][0]["logRecords"]
    assert first["eventName"] == "eastwest.flow"
    assert int(first["timeUnixNano"]) == NOON + 2 * 10**9
    seen = attributes(first)
    assert (seen["source.address"], seen["destination.address"]) == ("10.0.0.1", "10.0.1.1")
    assert (seen["destination.port"], seen["network.transport"]) == ("8080", "tcp")
    assert (seen["eastwest.src_workload"], seen["eastwest.bytes_reverse"]) == ("ui", "1000")
    assert seen["eastwest.reporter"] == "client"
    assert attributes(second)["destination.address"] == "2001:db8::1"
    assert "eastwest.dst_workload" not in attributes(second)
    assert "source.port" not in attributes(second)
    assert export.counts()["logs", ""] == 2


def test_metrics_arrive_as_cumulative_sums(receive: Callable[..., Receiver]) -> None:
    receiver = receive()
    traffic = TrafficMetrics(clock=lambda: 1000.0)
    traffic.take(ROWS, [])

    def write(out: Exposition) -> None:
        traffic.write(out)
        labels = [label_text(("a",), ('q"\\\n',))]
        out.histogram(RTT, labels, np.array([[1, 0, 2]]), [3.5], [1.5])

    export = OtlpExport(receiver.url, write, metrics_every_s=0.1)
    export.start()
    wait_for(lambda: len(receiver.got("metrics")) > 1)
    export.stop()
    scope = receiver.got("metrics")[0]["resourceMetrics"][0]["scopeMetrics"][0]
    metrics = {m["name"]: m for m in scope["metrics"]}
    sent = metrics["eastwest_pair_bytes"]
    assert sent["unit"] == "By"
    assert sent["sum"]["aggregationTemporality"] == "AGGREGATION_TEMPORALITY_CUMULATIVE"
    assert sent["sum"]["isMonotonic"]
    points = {(attributes(p)["destination"], attributes(p)["direction"]): p for p in sent["sum"]["dataPoints"]}
    assert points["carts", "reverse"]["asInt"] == "1000"
    assert points["carts", "reverse"]["startTimeUnixNano"] == str(1000 * 10**9)
    assert "gauge" in metrics["eastwest_pair_series"]
    histogram = metrics["x_seconds"]["histogram"]["dataPoints"][0]
    assert histogram["bucketCounts"] == ["1", "0", "2"]
    assert histogram["explicitBounds"] == [0.5, 1.0]
    assert (histogram["count"], histogram["sum"]) == ("3", 3.5)
    assert attributes(histogram) == {"a": 'q"\\\n'}


def test_a_busy_receiver_is_asked_again_and_a_refusal_is_counted(
    receive: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "FIRST_DELAY_S", 0.01)
    receiver = receive("503", "429", "200", "400", "partial")
    export = OtlpExport(receiver.url, lambda _: None, metrics_every_s=1000)
    for _ in range(3):
        export._send_logs(ROWS)
    export._client.close()
    assert export.counts() == {("logs", ""): 3, ("logs", "http_400"): 2, ("logs", "rejected"): 1}
    assert len(receiver.got("logs")) == 2


def test_a_receiver_says_when_to_come_back(receive: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "FIRST_DELAY_S", 0.001)
    then = int(time.time()) + 4
    receiver = receive("503:1", "429:nonsense", f"503:{formatdate(then, usegmt=True)}")
    export = OtlpExport(receiver.url, lambda _: None)
    began = time.monotonic()
    export._send_logs(ROWS)
    export._client.close()
    assert time.monotonic() - began >= 1
    assert time.time() > then - 0.1
    assert export.counts() == {("logs", ""): 2}


@given(st.text())
def test_any_retry_after_is_survived(text: str) -> None:
    assert 0 <= otlp._seconds(text) <= 60


def test_without_a_receiver_nothing_waits_and_everything_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "FIRST_DELAY_S", 0.01)
    export = OtlpExport("http://127.0.0.1:9", lambda _: None, queue_rows=5)
    began = time.monotonic()
    for _ in range(4):
        export.take(ROWS, [])
    assert time.monotonic() - began < 1
    export.start()
    wait_for(lambda: export.counts().get(("logs", "unreachable")) == 4)
    export.stop()
    assert export.counts()["logs", "queue_full"] == 4


def test_only_http_is_understood() -> None:
    with pytest.raises(ValueError, match="--otlp"):
        OtlpExport("collector:4317", lambda _: None)


@settings(deadline=None)
@given(st.text(min_size=1), st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text())
def test_every_attribute_is_read_back_by_protobuf(key: str, value: Any) -> None:
    key = key.encode("utf-8", "replace").decode()
    value = value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    read = common_pb2.KeyValue.FromString(otlp_wire.key_value(key, value))
    assert read.key == key
    assert getattr(read.value, read.value.WhichOneof("value")) == value


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_any_response_is_survived(body: bytes) -> None:
    assert otlp_wire.rejected(body) >= 0


def test_logs_are_quick_enough(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not asserted."""
    rows = table(*(record(UI, internet("dst", f"93.184.{i // 250}.{i % 250}"), bytes_forward=i) for i in range(5000)))
    began = time.perf_counter()
    encoded = encode_logs(rows, NOON)
    took = time.perf_counter() - began
    assert MessageToDict(logs_pb2.LogRecord.FromString(encoded[7]))["attributes"]
    with capsys.disabled():
        print(f"\n5000 flows as log records: {took * 1e3:.0f} ms, {5000 / took:,.0f} a second")
