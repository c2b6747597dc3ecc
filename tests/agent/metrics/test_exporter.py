"""Scrapers at once, slow ones, and the formats they ask for."""

from __future__ import annotations

import gzip
import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from agent.metrics.factories_metrics import Traffic, make_metrics, read, tick, value
from eastwest.agent.metrics import exporter as module
from eastwest.agent.metrics.agent import AgentMetrics
from eastwest.agent.metrics.exporter import Exporter


@pytest.fixture
def metrics() -> AgentMetrics:
    made = make_metrics()
    tick(made, 0, Traffic("a", ingress=5))
    return made


@pytest.fixture
def exporter(metrics: AgentMetrics) -> Iterator[Exporter]:
    made = Exporter("127.0.0.1:0", metrics.render)
    made.start()
    yield made
    made.stop()


def get(exporter: Exporter, path: str = "/metrics", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*exporter.address, timeout=10)
    try:
        connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


def test_content_types(exporter: Exporter) -> None:
    status, headers, body = get(exporter, Accept="application/openmetrics-text;version=1.0.0,*/*;q=0.1")
    assert (status, headers["Content-Type"]) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert body.endswith(b"# EOF\n")
    _, headers, body = get(exporter, Accept="text/plain")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# EOF" not in body
    _, headers, packed = get(exporter, Accept="text/plain", Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == body


def test_twenty_scrapers_at_once_read_the_same(exporter: Exporter, metrics: AgentMetrics) -> None:
    bodies: list[bytes] = []
    threads = [threading.Thread(target=lambda: bodies.append(get(exporter)[2])) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bodies) == 20
    assert len(set(bodies)) == 1
    tick(metrics, 1, Traffic("a", ingress=6))
    assert value(read(get(exporter)[2]), "eastwest_pod_ingress_bytes_total") == 11


def test_a_stuck_client_holds_nobody_up_and_too_many_are_turned_away(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = [socket.create_connection(exporter.address) for _ in range(module.MAX_CONNECTIONS - 1)]
    assert get(exporter)[0] == 200
    more = [socket.create_connection(exporter.address) for _ in range(3)]
    deadline = time.monotonic() + 10
    while exporter.refused < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert exporter.refused >= 2
    for connection in (*stuck, *more):
        connection.close()
    while time.monotonic() < deadline:
        try:
            assert get(exporter)[0] == 200
            break
        except (OSError, http.client.HTTPException):
            continue


def test_health_says_why() -> None:
    why = ["no server"]
    exporter = Exporter("127.0.0.1:0", lambda _: b"", lambda: why)
    exporter.start()
    assert get(exporter, "/healthz")[::2] == (503, b"no server\n")
    why.clear()
    assert get(exporter, "/healthz")[::2] == (200, b"ok\n")
    assert get(exporter, "/else")[0] == 404
    exporter.stop()


@pytest.mark.parametrize("listen", ["9090", "localhost:", ":9090", "h:99999", "h:x"])
def test_a_bad_address_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Exporter(listen, lambda _: b"")


def test_ipv6_is_an_address_too() -> None:
    exporter = Exporter("[::1]:0", lambda _: b"x")
    exporter.start()
    assert get(exporter)[0] == 200
    exporter.stop()


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"cannot listen on {at}: Address already in use"):
            Exporter(at, lambda accept: (b"", "text/plain")).start()
