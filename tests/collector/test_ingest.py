"""The agents' door over HTTP: what is durable, what is repeated, what is refused."""

from __future__ import annotations

import gzip
import os
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.factories_batches import batch, recent
from api.running import RunningServer, eventually
from eastwest.runtime.tokens import agent_token, load_secret
from eastwest.wire.batch import INGEST_PATH
from eastwest.wire.batches import PATH as BATCHES
from eastwest.wire.batches import join
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


def test_several_batches_are_judged_one_by_one(server: RunningServer) -> None:
    """What is bad among them holds nothing up; what was taken is recognised when it comes again, together or alone."""
    client = server.client()
    bodies = [
        batch(0, [row()]),
        b"EWB1 nonsense",
        batch(1, [row(node="node-b")]),
        batch(2, [row(), row()]),
        batch(3, []),
    ]
    expected = [Outcome.ACKNOWLEDGED, Outcome.POISON, Outcome.POISON, Outcome.ACKNOWLEDGED, Outcome.ACKNOWLEDGED]
    answers = client.post_several(bodies)
    assert [a.outcome for a in answers] == expected
    assert "too short" in answers[1].reason or "header" in answers[1].reason
    assert "column node" in answers[2].reason
    assert connections(server) == 3
    assert [a.outcome for a in client.post_several(bodies)] == expected
    assert client.post(bodies[3]).outcome is Outcome.ACKNOWLEDGED
    again = client.post_several([bodies[0], bodies[0], batch(4, [row()])])
    assert [a.outcome for a in again] == [Outcome.ACKNOWLEDGED] * 3
    assert connections(server) == 4
    metrics = server.get("/metrics").text
    assert 'eastwest_server_refused_total{cause="malformed"} 4' in metrics
    assert "eastwest_server_batches_repeated_total 6" in metrics


def test_several_batches_of_which_none_is_believed(server: RunningServer) -> None:
    bodies = [batch(0, [row()]), batch(1, [row()])]
    assert [a.outcome for a in server.client("node-b").post_several(bodies)] == [Outcome.DENIED] * 2
    unsigned = httpx.post(f"{server.url}{BATCHES}", content=b"".join(join(bodies)), trust_env=False)
    assert unsigned.status_code == 401
    cut = b"".join(join(bodies))[:-1]
    token = agent_token(load_secret(server.data), "c1", "node-a")
    headers = {"Authorization": f"Bearer {token}"}
    torn = httpx.post(f"{server.url}{BATCHES}", content=cut, headers=headers, trust_env=False)
    assert torn.status_code == 422
    assert "batch 1 of 2 reaches past the end" in torn.text
    assert connections(server) == 0


def test_whoever_shows_no_token_is_not_listened_to(server: RunningServer) -> None:
    """The answer comes before the body: nothing of what a stranger sends is kept in memory."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as stranger:
        head = f"POST {INGEST_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"
        stranger.sendall(head.encode() + b"x")
        assert stranger.recv(4096).startswith(b"HTTP/1.1 401")


def test_who_hangs_up_in_the_middle_is_counted_and_nothing_is_kept(server: RunningServer) -> None:
    token = agent_token(load_secret(server.data), "c1", "node-a")
    content = batch(0, [row()])
    for path in (INGEST_PATH, BATCHES):
        with socket.create_connection(("127.0.0.1", server.port), 30) as agent:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(content)}\r\n\r\n"
            agent.sendall(head.encode() + content[:-5])
    cut_short = 'eastwest_server_refused_total{cause="cut_short"} 2'
    eventually("both to be counted", lambda: cut_short in server.get("/metrics").text)
    assert connections(server) == 0
    assert "Traceback" not in server.log.read_text()


def test_a_server_whose_clock_went_back_judges_nobodys(tmp_path: Path) -> None:
    """It was set right when it last wrote, two hours from now: what seems to be in the future is not refused for good."""
    with RunningServer(tmp_path) as server:
        client, ahead = server.client(), batch(0, [row(at=recent(-7200))])
        assert client.post(ahead).outcome is Outcome.POISON
        server.stop()
        then = time.time() + 7200
        os.utime(server.data / "journal", (then, then))
        server.start(wait=False)
        eventually("the server to say why it is not well", lambda: "clock went back" in _reasons(server))
        answer = client.post(ahead)
        assert answer.outcome is Outcome.RETRY
        assert "the server's clock went back by 7" in answer.reason
        assert "set it right" in answer.reason
        several = client.post_several([ahead, batch(1, [row()])])
        assert [a.outcome for a in several] == [Outcome.RETRY, Outcome.ACKNOWLEDGED]


def _reasons(server: RunningServer) -> str:
    try:
        return " ".join(server.get("/healthz").json()["reasons"])
    except httpx.TransportError:
        return ""
