"""Serves /metrics and /healthz of one process to any number of scrapers at once. Standard library only.

A slow or stuck client holds its own thread and nothing else; connections beyond a limit are closed at once and counted.
Reads just enough HTTP/1.1 for a GET: the standard library's server would load 5 MiB of TLS and mail on every node.
"""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Final

from eastwest.runtime.openmetrics import TextFormat, negotiate

MAX_CONNECTIONS: Final = 32
TIMEOUT_S: Final = 10.0
LINE_LIMIT: Final = 8192
HEADERS_LIMIT: Final = 100

Render = Callable[[TextFormat], bytes]
Reasons = Callable[[], list[str]]
"""Why the process is not well; empty when it is."""


class Exporter:
    """Inert until `start`. `listen` is HOST:PORT, [HOST]:PORT or HOST:0 for any free port (see `address`)."""

    def __init__(self, listen: str, render: Render, reasons: Reasons = list) -> None:
        host, _, port = listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"--listen {listen!r}: expected HOST:PORT, such as 127.0.0.1:7421")
        self._at = (host.strip("[]"), int(port))
        self._handler = _handler(render, reasons)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once started."""
        assert self._server is not None
        return self._server.server_address[0], self._server.server_address[1]  # type: ignore[return-value]

    @property
    def refused(self) -> int:
        """Connections closed because MAX_CONNECTIONS were open."""
        return self._server.refused if self._server else 0

    def open(self) -> None:
        """Take the address; who asks waits until `start`. Raises OSError when it cannot be had."""
        try:
            self._server = _Server(self._at, self._handler)
        except OSError as error:
            host, port = self._at
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from None

    def start(self) -> None:
        """Answer, from threads of its own. Opens first where nobody has. Raises OSError as `open` does."""
        if self._server is None:
            self.open()
        assert self._server is not None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; answers under way are finished or cut at their deadline."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[StreamRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.refused = 0
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.refused += 1
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that went away is no event of ours."""


def _handler(render: Render, reasons: Reasons) -> type[StreamRequestHandler]:
    class Handler(StreamRequestHandler):
        timeout = TIMEOUT_S

        def handle(self) -> None:
            while (words := self._request_line()) is not None:
                headers = self._headers()
                if headers is None:
                    return
                keep = words[2] == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
                self._get(words[0], words[1].partition("?")[0], headers, keep)
                if not keep:
                    return

        def _request_line(self) -> list[str] | None:
            """Method, target, version; None when the client is done or speaks something else."""
            words = self.rfile.readline(LINE_LIMIT).decode("latin-1").split()
            return words if len(words) == 3 and words[2].startswith("HTTP/1.") else None

        def _headers(self) -> dict[str, str] | None:
            found: dict[str, str] = {}
            for _ in range(HEADERS_LIMIT):
                line = self.rfile.readline(LINE_LIMIT).decode("latin-1")
                if line in ("\r\n", "\n"):
                    return found
                name, _, value = line.partition(":")
                found[name.strip().lower()] = value.strip()
            return None

        def _get(self, method: str, path: str, headers: dict[str, str], keep: bool) -> None:
            plain = "text/plain; charset=utf-8"
            if method not in ("GET", "HEAD"):
                status, kind, body = "501 Not Implemented", plain, b"only GET is known here\n"
                keep = False
            elif path == "/metrics":
                text_format = negotiate(headers.get("accept"))
                status, kind, body = "200 OK", text_format.value, render(text_format)
            elif path == "/healthz":
                why = reasons()
                status = "503 Service Unavailable" if why else "200 OK"
                kind, body = plain, ("\n".join(why) or "ok").encode() + b"\n"
            else:
                status, kind, body = "404 Not Found", plain, b"only /metrics and /healthz live here\n"
            self._answer(method, status, kind, body, "gzip" in headers.get("accept-encoding", ""), keep)

        def _answer(self, method: str, status: str, kind: str, body: bytes, packed: bool, keep: bool) -> None:
            lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", "Vary: Accept, Accept-Encoding"]
            if packed and len(body) > 1024:
                body = gzip.compress(body, compresslevel=1)
                lines.append("Content-Encoding: gzip")
            lines += [f"Content-Length: {len(body)}", f"Connection: {'keep-alive' if keep else 'close'}", "", ""]
            self.wfile.write("\r\n".join(lines).encode("latin-1") + (b"" if method == "HEAD" else body))

    return Handler
