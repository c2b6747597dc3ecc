"""The agents' door over HTTP: what is durable, what is repeated, what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.factories_batches import batch, recent
from api.running import RunningServer
from eastwest.runtime.tokens import agent_token, load_secret
from eastwest.wire.batch import INGEST_PATH
from eastwest.wire.client import Outcome
from store.factories_flows import pod, record


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with RunningServer(tmp_path) as running:
        yield running


def row(**values: Any) -> dict[str, Any]:
    ends = pod("src", "", "", ip="10.0.0.1"), pod("dst", "", "", ip="10.0.0.2")
    return record(*ends, **({"at": recent()} | values))


def connections(server: RunningServer) -> int:
    return sum(e["connections"] for e in server.get("/api/v1/service-map").json()["edges"])


def test_what_is_acknowledged_is_visible_once_and_survives_a_restart(server: RunningServer) -> None:
    client, content = server.client(), batch(7, [row()])
    for _ in range(3):
        assert client.post(content).outcome is Outcome.ACKNOWLEDGED
    assert connections(server) == 1
    assert client.post(batch(8, [row()])).outcome is Outcome.ACKNOWLEDGED
    assert server.stop() == 0
    server.start()
    for seq in (7, 8):
        assert client.post(batch(seq, [row()])).outcome is Outcome.ACKNOWLEDGED
    assert connections(server) == 2
    assert "eastwest_server_batches_repeated_total 2" in server.get("/metrics").text


def test_a_refused_batch_leaves_nothing_behind_and_is_counted(server: RunningServer) -> None:
    client = server.client()
    assert client.post(b"EWB1 nonsense").outcome is Outcome.POISON
    assert client.post(batch(0, [row(), row(node="node-b")])).outcome is Outcome.POISON
    assert server.client("node-b").post(batch(0, [row()])).outcome is Outcome.DENIED
    assert connections(server) == 0
    assert server.get("/api/v1/coverage").json()["nodes"] == []
    metrics = server.get("/metrics").text
    assert 'eastwest_server_refused_total{cause="malformed"} 2' in metrics
    assert 'eastwest_server_refused_total{cause="wrong_token"} 1' in metrics


def test_tcp_takes_batches_too(server: RunningServer) -> None:
    token = agent_token(load_secret(server.data), "c1", "node-a")
    headers = {"Authorization": f"Bearer {token}", "Content-Encoding": "gzip"}
    content = gzip.compress(batch(0, [row()]))
    response = httpx.post(f"{server.url}{INGEST_PATH}", content=content, headers=headers, timeout=30, trust_env=False)
    assert response.status_code == 204
    assert httpx.post(f"{server.url}{INGEST_PATH}", content=content, trust_env=False).status_code == 401
    assert connections(server) == 1
