"""The agent's end of shipping: one POST, one answer in the agent's words. Retrying is the caller's business.

Standard library only. `http://host:port`, `https://host` and `unix:/path/to.sock` are understood.
"""

from __future__ import annotations

import gzip
import http.client
import socket
import ssl
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from eastwest.wire.batch import CONTENT_TYPE, INGEST_PATH

TIMEOUT_S: Final = 10.0
_REPLY_LIMIT_BYTES: Final = 4096


class Outcome(Enum):
    """What the sender does next."""

    ACKNOWLEDGED = "acknowledged"  # durable: forget the batch
    RETRY = "retry"  # keep it, and wait at least `retry_after_s`
    DENIED = "denied"  # bad token: keep it, and say so loudly
    POISON = "poison"  # never accepted, however often it is sent: drop and declare
    TOO_LARGE = "too_large"  # as POISON


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Outcome
    reason: str = ""
    retry_after_s: float | None = None


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix stream socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


def connector(server: str, timeout_s: float = TIMEOUT_S) -> Callable[[], http.client.HTTPConnection]:
    """A function that makes a connection to `server`. Raises ValueError for a URL of another kind."""
    if server.startswith("unix:"):
        path = server.removeprefix("unix:")
        if not path.startswith("/"):
            raise ValueError(f"--server {server!r}: expected unix:/absolute/path.sock")
        return lambda: UnixConnection(path, timeout_s)
    url = urllib.parse.urlsplit(server)
    host = url.hostname
    if url.scheme not in ("http", "https") or not host or url.path not in ("", "/"):
        raise ValueError(f"--server {server!r}: expected http://HOST:PORT, https://HOST or unix:/path/to.sock")
    if url.scheme == "https":
        context = ssl.create_default_context()
        return lambda: http.client.HTTPSConnection(host, url.port, timeout=timeout_s, context=context)
    return lambda: http.client.HTTPConnection(host, url.port, timeout=timeout_s)


class Client:
    """Posts bodies to one server with one token. Not thread-safe: the shipping thread owns it."""

    def __init__(self, server: str, token: str, timeout_s: float = TIMEOUT_S) -> None:
        self._connect = connector(server, timeout_s)
        self._token = token

    def post(self, body: bytes) -> Answer:
        """Send one batch; a network failure is a RETRY with the reason."""
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": CONTENT_TYPE,
            "Content-Encoding": "gzip",
        }
        connection = self._connect()
        try:
            connection.request("POST", INGEST_PATH, gzip.compress(body, compresslevel=1), headers)
            response = connection.getresponse()
            text = response.read(_REPLY_LIMIT_BYTES).decode(errors="replace").strip()
            return _answer(response.status, text, response.headers.get("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            return Answer(Outcome.RETRY, f"{type(error).__name__}: {error}")
        finally:
            connection.close()


def _answer(status: int, text: str, retry_after: str | None) -> Answer:
    reason = f"HTTP {status}: {text[:300]}" if text else f"HTTP {status}"
    if status in (200, 204):
        return Answer(Outcome.ACKNOWLEDGED)
    if status in (401, 403):
        return Answer(Outcome.DENIED, reason)
    if status == 413:
        return Answer(Outcome.TOO_LARGE, reason)
    if status == 422:
        return Answer(Outcome.POISON, reason)
    return Answer(Outcome.RETRY, reason, _seconds(retry_after))


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds, at most ten minutes; an HTTP date or nonsense is None."""
    if text is None or not text.strip().isdecimal():
        return None
    return min(float(text), 600.0)
