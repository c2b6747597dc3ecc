"""Serves /metrics and /healthz of one process to any number of scrapers at once. Standard library only.

A slow or stuck client holds its own thread and nothing else; connections beyond a limit are closed at once and counted.
"""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Final

from eastwest.runtime.openmetrics import TextFormat, negotiate

MAX_CONNECTIONS: Final = 32
TIMEOUT_S: Final = 10.0

Render = Callable[[TextFormat], bytes]
Reasons = Callable[[], list[str]]
"""Why the process is not well; empty when it is."""


class Exporter:
    """Inert until `start`. `listen` is HOST:PORT, [HOST]:PORT or HOST:0 for any free port (see `address`)."""

    def __init__(self, listen: str, render: Render, reasons: Reasons = list) -> None:
        host, _, port = listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"{listen!r}: expected HOST:PORT")
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

    def start(self) -> None:
        """Listen and answer from threads of its own. Raises OSError when the address cannot be had."""
        self._server = _Server(self._at, self._handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; answers under way are finished or cut at their deadline."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.refused = 0
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """As TCPServer: HTTPServer would look its own name up in DNS."""
        TCPServer.server_bind(self)

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


def _handler(render: Render, reasons: Reasons) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = TIMEOUT_S
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                text_format = negotiate(self.headers.get("Accept"))
                self._answer(200, text_format.value, render(text_format))
            elif path == "/healthz":
                why = reasons()
                self._answer(
                    503 if why else 200, "text/plain; charset=utf-8", ("\n".join(why) or "ok").encode() + b"\n"
                )
            else:
                self._answer(404, "text/plain; charset=utf-8", b"only /metrics and /healthz live here\n")

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Vary", "Accept, Accept-Encoding")
            if len(body) > 1024 and "gzip" in self.headers.get("Accept-Encoding", ""):
                body = gzip.compress(body, compresslevel=1)
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
