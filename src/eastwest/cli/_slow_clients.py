"""Connections that take their time: a request's head and its body must come within deadlines, or the connection is closed.

Without them a few hundred clients that send a byte now and then would hold every descriptor of the server.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

HEAD_S: Final = 10.0
"""From the connection, or the first byte of its next request, to the end of the request's head."""
BODY_S: Final = 60.0
"""From then to the end of the body: agents give up after ten."""


class ImpatientProtocol(H11Protocol):
    """uvicorn's, with deadlines. `_waiting`: what of a request is not there yet."""

    _waiting = ""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for("head")

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_for("")
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self._wait_for("head")
        else:
            self._wait_for("body" if self.cycle.more_body else "")

    def on_response_complete(self) -> None:
        self._wait_for("")  # from here uvicorn's own timer for idle connections runs
        super().on_response_complete()
        if not self.cycle.response_complete and self.cycle.more_body:
            self._wait_for("body")  # of a request that was sent behind the one before

    def _wait_for(self, what: str) -> None:
        if what == self._waiting:
            return
        self._waiting = what
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if what:
            self._deadline = self.loop.call_later(HEAD_S if what == "head" else BODY_S, self._give_up)

    def _give_up(self) -> None:
        what, self._deadline = self._waiting, None
        level = logging.WARNING if what == "body" else logging.DEBUG  # browsers connect ahead of what they will ask
        log.log(level, "a client at %s did not send its request's %s in time", self.client or "the socket", what)
        if what == "head" and self.conn.our_state is h11.IDLE:
            self._say(408, f"the request's head did not come within {HEAD_S:g} s")
        self.transport.close()

    def _say(self, status: int, text: str) -> None:
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text) + 1)), ("Connection", "close")]
        events: list[Any] = [h11.Response(status_code=status, headers=headers)]
        for event in (*events, h11.Data(data=text.encode() + b"\n"), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")


def take_all_descriptors() -> None:
    """As many connections as this process may have: the soft limit is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
