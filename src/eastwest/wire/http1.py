"""One HTTP/1.1 request on a connection of its own (RFC 9112), over TCP, TLS or a Unix socket.

The standard library's client always loads TLS and mail parsing, 5 MiB that every node would hold for one POST; TLS is
loaded here only for an https server.
"""

from __future__ import annotations

import socket
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

_LINE_LIMIT: Final = 8192
_HEADERS_LIMIT: Final = 100


class ProtocolError(OSError):
    """The answer is not HTTP."""


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` by lower-case name; `body` is cut at the limit that the caller set."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Server:
    """Where requests go: a way to connect, and the value of the Host header."""

    host: str
    connect: Callable[[], socket.socket]

    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", reply_limit_bytes: int = 4096
    ) -> Response:
        """Send and wait for the answer. Raises OSError for everything that goes wrong."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        with self.connect() as s:
            try:
                s.sendall(head)
                s.sendall(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have answered before it read everything: a refusal, which is worth reading
            with s.makefile("rb") as answer:
                return read_response(cast("BinaryIO", answer), reply_limit_bytes)


def server(url: str, timeout_s: float) -> Server:
    """`http://HOST:PORT`, `https://HOST` or `unix:/path/to.sock`. Raises ValueError for anything else."""
    if url.startswith("unix:/"):
        path = url.removeprefix("unix:")
        return Server("localhost", lambda: _unix(path, timeout_s))
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/"):
        raise ValueError(f"--server {url!r}: expected http://HOST:PORT, https://HOST or unix:/path/to.sock")
    if parts.scheme == "http":
        at = (host, parts.port or 80)
        return Server(parts.netloc, lambda: socket.create_connection(at, timeout_s))
    return Server(parts.netloc, _tls(host, parts.port or 443, timeout_s))


def _unix(path: str, timeout_s: float) -> socket.socket:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(timeout_s)
    try:
        s.connect(path)
    except OSError:
        s.close()
        raise
    return s


def _tls(host: str, port: int, timeout_s: float) -> Callable[[], socket.socket]:
    import ssl

    context = ssl.create_default_context()

    def connect() -> socket.socket:
        plain = socket.create_connection((host, port), timeout_s)
        try:
            return context.wrap_socket(plain, server_hostname=host)
        except OSError:
            plain.close()
            raise

    return connect


def read_response(answer: BinaryIO, limit_bytes: int) -> Response:
    """Read one final response; interim ones (1xx) are skipped. Raises ProtocolError."""
    status = 100
    headers: dict[str, str] = {}
    while 100 <= status < 200:
        status, headers = _status(answer), _headers(answer)
    if status in (204, 304):
        return Response(status, headers, b"")
    return Response(status, headers, _body(answer, headers, limit_bytes))


def _line(answer: BinaryIO) -> bytes:
    line = answer.readline(_LINE_LIMIT)
    if not line.endswith(b"\n"):
        raise ProtocolError("the connection ended in the middle of an answer" if line else "no answer")
    return line.rstrip(b"\r\n")


def _status(answer: BinaryIO) -> int:
    words = _line(answer).split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or len(words[1]) != 3 or not words[1].isdigit():
        raise ProtocolError("the answer is not HTTP/1")
    return int(words[1])


def _headers(answer: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_HEADERS_LIMIT):
        line = _line(answer)
        if not line:
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    raise ProtocolError("too many headers")


def _body(answer: BinaryIO, headers: Mapping[str, str], limit_bytes: int) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunks(answer, limit_bytes)
    length = headers.get("content-length")
    if length is None:
        return answer.read(limit_bytes)
    if not length.isdecimal():
        raise ProtocolError("Content-Length is not a number")
    wanted = min(int(length), limit_bytes)
    body = answer.read(wanted)
    if len(body) < wanted:
        raise ProtocolError("the connection ended in the middle of an answer")
    return body


def _chunks(answer: BinaryIO, limit_bytes: int) -> bytes:
    body = b""
    while len(body) < limit_bytes:
        try:
            size = int(_line(answer).partition(b";")[0], 16)
        except ValueError:
            raise ProtocolError("a chunk has no size") from None
        if size <= 0:
            return body
        body += answer.read(min(size, limit_bytes - len(body)))
        if len(body) < limit_bytes:
            _line(answer)
    return body
