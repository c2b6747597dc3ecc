"""One POST against a real HTTP server: every status becomes the right next step."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import pytest

from eastwest.wire.batches import split
from eastwest.wire.client import Answer, Client, Outcome


@dataclass
class FakeServer:
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    text: bytes = b""
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                fake.seen.append((self.path, dict(self.headers), body))
                self.send_response(fake.status)
                for name, value in fake.headers.items():
                    self.send_header(name, value)
                if fake.status != 204:
                    self.send_header("Content-Length", str(len(fake.text)))
                self.end_headers()
                self.wfile.write(fake.text)

            def log_message(self, *args: Any) -> None:
                pass

            def address_string(self) -> str:
                return "unix"

        return Handler


@pytest.fixture(params=["http", "unix"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, FakeServer]]:
    fake = FakeServer()
    if request.param == "http":
        server: Any = HTTPServer(("127.0.0.1", 0), fake.handler())
        url = f"http://127.0.0.1:{server.server_address[1]}"
    else:
        path = tmp_path / "s.sock"
        server, url = UnixStreamServer(str(path), fake.handler()), f"unix:{path}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield url, fake
    server.shutdown()
    server.server_close()
    thread.join()


def test_posts_with_token_and_encoding(served: tuple[str, FakeServer]) -> None:
    url, fake = served
    assert Client(url, "secret").post(b"body") == Answer(Outcome.ACKNOWLEDGED)
    path, headers, body = fake.seen[0]
    assert path == "/ingest/v1/batch"
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Content-Type"] == "application/vnd.eastwest.batch"
    assert headers["Content-Encoding"] == "gzip"
    assert body == b"body"


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (401, {}, Answer(Outcome.DENIED, "HTTP 401: why")),
        (403, {}, Answer(Outcome.DENIED, "HTTP 403: why")),
        (413, {}, Answer(Outcome.TOO_LARGE, "HTTP 413: why")),
        (422, {}, Answer(Outcome.POISON, "HTTP 422: why")),
        (429, {"Retry-After": "7"}, Answer(Outcome.RETRY, "HTTP 429: why", 7.0)),
        (503, {"Retry-After": "99999"}, Answer(Outcome.RETRY, "HTTP 503: why", 600.0)),
        (503, {"Retry-After": "tomorrow"}, Answer(Outcome.RETRY, "HTTP 503: why")),
        (500, {}, Answer(Outcome.FAILED, "HTTP 500: why")),
        (502, {}, Answer(Outcome.RETRY, "HTTP 502: why")),
    ],
)
def test_statuses(served: tuple[str, FakeServer], status: int, headers: dict[str, str], expected: Answer) -> None:
    url, fake = served
    fake.status, fake.headers, fake.text = status, headers, b"why"
    assert Client(url, "t").post(b"x") == expected


def test_nobody_there_is_a_retry(tmp_path: Path) -> None:
    answer = Client(f"unix:{tmp_path}/none.sock", "t").post(b"x")
    assert answer.outcome is Outcome.RETRY
    assert "FileNotFoundError" in answer.reason


@pytest.mark.parametrize("url", ["", "host:1", "ftp://x", "unix:rel.sock", "http://", "http://h/path"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="--server"):
        Client(url, "t")


def test_several_in_one_request(served: tuple[str, FakeServer]) -> None:
    url, fake = served
    fake.status = 200
    fake.text = b'{"answers":[{"status":204},{"status":422,"reason":"why"},{"status":503,"reason":"busy"}]}'
    fake.headers = {"Retry-After": "2"}
    assert Client(url, "secret").post_several([b"a", b"bc", b""]) == [
        Answer(Outcome.ACKNOWLEDGED),
        Answer(Outcome.POISON, "HTTP 422: why"),
        Answer(Outcome.RETRY, "HTTP 503: busy", 2.0),
    ]
    path, headers, body = fake.seen[0]
    assert (path, headers["Content-Type"]) == ("/ingest/v1/batches", "application/vnd.eastwest.batches")
    assert split(body) == [b"a", b"bc", b""]


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (200, b'{"answers":[{"status":204}]}', Outcome.RETRY),  # of two: nothing is known of either
        (200, b"<html>", Outcome.RETRY),
        (204, b"", Outcome.RETRY),
        (503, b"", Outcome.RETRY),
        (401, b"", Outcome.DENIED),
        *((status, b"", Outcome.ONE_BY_ONE) for status in (404, 405, 413, 415, 422)),
    ],
)
def test_an_answer_for_the_whole(served: tuple[str, FakeServer], status: int, text: bytes, outcome: Outcome) -> None:
    url, fake = served
    fake.status, fake.text = status, text
    assert [a.outcome for a in Client(url, "t").post_several([b"a", b"b"])] == [outcome] * 2
