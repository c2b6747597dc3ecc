"""Deadlines for heads and bodies, on real connections."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from api.running import eventually
from eastwest.cli import _slow_clients
from eastwest.cli._serving import _Server
from eastwest.cli._slow_clients import ImpatientProtocol

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
PATIENCE_S = 30.0  # of the test: how long a deadline of 0.3 s may take on a machine that is busy


class App:
    """Answers with the body, after `pause_s`; keeps what it was told of each request."""

    def __init__(self) -> None:
        self.pause_s = 0.0
        self.heard: list[str] = []

    async def __call__(self, _: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.heard.append("hung up")
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.heard.append("whole")
        await asyncio.sleep(self.pause_s)
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def port(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(_slow_clients, "HEAD_S", 0.3)
    monkeypatch.setattr(_slow_clients, "BODY_S", 0.3)
    config = uvicorn.Config(app, http=ImpatientProtocol, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server, sock = _Server(config), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([sock])))
    thread.start()
    yield int(sock.getsockname()[1])
    server.should_exit = True
    thread.join()


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        yield client


def rest(client: socket.socket) -> bytes:
    """Everything until the server hangs up; TimeoutError when it does not."""
    found = b""
    try:
        while data := client.recv(4096):
            found += data
    except ConnectionResetError:
        pass
    return found


def test_who_says_nothing_is_told_and_closed(port: int) -> None:
    with connected(port) as client:
        answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"the request's head did not come within 0.3 s" in answer


def test_a_byte_now_and_then_does_not_help(port: int) -> None:
    stop = threading.Event()
    with connected(port) as client:

        def dribble() -> None:
            for byte in b"POST / HTTP/1.1\r\nX: " + b"x" * 10_000:
                if stop.wait(0.02):
                    return
                try:
                    client.send(bytes([byte]))
                except OSError:
                    return

        dribbling = threading.Thread(target=dribble)
        dribbling.start()
        assert rest(client).startswith(b"HTTP/1.1 408")
        stop.set()
        dribbling.join()


def test_a_body_that_does_not_come_is_given_up(port: int, app: App) -> None:
    with connected(port) as client:
        client.sendall(HEAD + b"ab")
        assert rest(client) == b""
    eventually("the application to hear of it", lambda: app.heard == ["hung up"], PATIENCE_S)


def test_an_answer_may_take_its_time_and_the_connection_is_used_again(port: int, app: App) -> None:
    app.pause_s = 0.6  # twice the deadlines
    with connected(port) as client:
        for _ in range(2):
            client.sendall(HEAD + b"abcd")
            answer = b""
            while not answer.endswith(b"abcd"):
                answer += client.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200")
        client.sendall(b"GET")  # and no more: the next head has its own deadline
        assert rest(client).startswith(b"HTTP/1.1 408")
    assert app.heard == ["whole", "whole"]
