"""A server of plans on a Unix socket: long polls, snapshots and deltas, and what agents say is in force."""

from __future__ import annotations

import contextlib
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

from eastwest.model.plan import NodePlan
from eastwest.model.realised import Realised
from eastwest.wire.plan import encode
from eastwest.wire.plan_delta import delta, encode_delta
from eastwest.wire.realised import from_json

TOKEN = "let-me-in"


@dataclass
class PlanServer:
    path: Path
    plans: list[NodePlan] = field(default_factory=list)  # every one there was; the last is wanted
    status: int = 200
    garbage: bytes | None = None  # sent instead of the next plan
    asked: list[dict[str, str]] = field(default_factory=list)
    said: list[Realised] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"unix:{self.path}"

    def put(self, plan: NodePlan) -> None:
        with self.changed:
            self.plans.append(plan)
            self.changed.notify_all()

    def answer(self, query: dict[str, str]) -> tuple[int, bytes, str]:
        self.asked.append(query)
        have = query.get("have")
        with self.changed:
            if self.status != 200:
                return self.status, b"not now", ""
            self.changed.wait_for(lambda: self._news(have), float(query["wait"]))
            if not self._news(have):
                return 204, b"", ""
            if self.garbage is not None:
                body, self.garbage = self.garbage, None
                return 200, body, "delta"
            base = next((p for p in self.plans if f"{p.version}:{p.digest}" == have), None)
            if base is None:
                return 200, encode(self.plans[-1]), "snapshot"
            return 200, encode_delta(delta(base, self.plans[-1])), "delta"

    def _news(self, have: str | None) -> bool:
        return bool(self.plans) and f"{self.plans[-1].version}:{self.plans[-1].digest}" != have

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urllib.parse.urlsplit(self.path)
                if not url.path.startswith("/api/v1/nodes/"):
                    return self.reply(404, b"")
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    return self.reply(401, b"whose token is that?")
                status, body, kind = server.answer(dict(urllib.parse.parse_qsl(url.query)))
                return self.reply(status, body, kind)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if "/realised" in self.path:
                    if server.status == 200:
                        server.said.append(from_json(body))
                    return self.reply(204 if server.status == 200 else server.status, b"")
                return self.reply(204, b"")  # a batch: not looked at here

            def reply(self, status: int, body: bytes, kind: str = "") -> None:
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    if kind:
                        self.send_header("X-Eastwest-Plan", kind)
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

            def address_string(self) -> str:
                return "unix"

        return Handler


@contextlib.contextmanager
def serving(folder: Path, *plans: NodePlan) -> Iterator[PlanServer]:
    found = PlanServer(folder / "plans.sock", list(plans))
    server = ThreadingUnixStreamServer(str(found.path), found.handler())
    server.daemon_threads, server.block_on_close = True, False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        found.path.unlink()
