"""The scrape and names routes, and an agent that learns names from them over a real socket."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from prometheus_client.openmetrics import parser

from eastwest.agent.metrics.fetch import NameFetcher
from eastwest.agent.metrics.names import PodNames
from eastwest.api.routes.metrics import metrics_router, names_router
from eastwest.query.metrics.traffic import FAMILIES, TrafficMetrics
from eastwest.runtime.openmetrics import Exposition, TextFormat, negotiate
from eastwest.runtime.tokens import agent_token
from store.factories_flows import NOON, header, internet, pod, record, table

SECRET = b"s" * 32
TOKEN = agent_token(SECRET, "c1", "node-a")


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def make_app() -> tuple[FastAPI, TrafficMetrics]:
    metrics = TrafficMetrics(exports=lambda: {("logs", ""): 9, ("logs", "queue_full"): 2}, clock=lambda: NOON / 1e9)

    def expose(accept: str | None) -> tuple[bytes, str]:
        text_format = negotiate(accept)
        out = Exposition(text_format)
        metrics.write(out)
        return out.finish(), text_format.value

    app = FastAPI()
    app.include_router(metrics_router(expose))
    app.include_router(
        names_router(lambda node, uids: [(uid, "shop", f"ui-0@{node}") for uid in uids if uid == "uid-1"], SECRET)
    )
    return app, metrics


def test_scrape() -> None:
    app, metrics = make_app()
    metrics.take(table(), [header(node="node-gone", at=NOON - 90_000 * 10**9)])
    ends = pod("src", "shop", "ui", ip="10.0.0.1"), internet("dst", "93.184.216.34")
    metrics.take(table(record(*ends)), [header()])
    with served(app) as url:
        answer = httpx.get(f"{url}/api/v1/metrics", headers={"Accept": "application/openmetrics-text"})
        classic = httpx.get(f"{url}/api/v1/metrics", headers={"Accept": "text/plain"})
    assert answer.headers["content-type"] == TextFormat.OPENMETRICS.value
    assert classic.headers["content-type"] == TextFormat.CLASSIC.value
    families = {f.name: f for f in parser.text_string_to_metric_families(answer.text)}
    assert set(families) <= {f.name for f in FAMILIES}
    values = {s.name: s.value for f in families.values() for s in f.samples}
    assert "node-gone" not in answer.text
    assert values["eastwest_server_otlp_lost_total"] == 2
    assert values["eastwest_server_otlp_exported_total"] == 9
    assert values["eastwest_server_node_last_window_end_seconds"] == header().window_end_ns / 1e9
    assert values["eastwest_pair_series"] == 1


@pytest.fixture
def url() -> Iterator[str]:
    with served(make_app()[0]) as url:
        yield url


def test_a_node_learns_only_its_own_names(url: str) -> None:
    def status(node: str, **headers: str) -> int:
        query = {"cluster": "c1", "node": node}
        return httpx.get(f"{url}/ingest/v1/names", params=query, headers=headers).status_code

    assert status("node-a") == 401
    assert status("node-b", Authorization=f"Bearer {TOKEN}") == 403
    assert status("node-a", Authorization=f"Bearer {TOKEN}") == 200


def test_an_agent_learns_names(url: str) -> None:
    names = PodNames(Path("/nonexistent"))
    fetcher = NameFetcher(
        names, lambda: ["uid-1", "uid-2"], server=url, token=lambda: TOKEN, cluster="c1", node="node-a", every_s=0.02
    )
    fetcher.start()
    deadline = time.monotonic() + 10
    while names.get("uid-1") is None and time.monotonic() < deadline:
        time.sleep(0.02)
    fetcher.stop()
    assert names.get("uid-1") == ("shop", "ui-0@node-a")
    assert names.get("uid-2") is None
    with pytest.raises(OSError, match="403"):
        NameFetcher(names, list, server=url, token=lambda: "x", cluster="c1", node="node-a").fetch([])
