"""Tells the server what is in force on this node. A thread of its own; only the newest word counts."""

from __future__ import annotations

import logging
import random
import threading
import urllib.parse
from collections.abc import Callable

from eastwest.agent.shipper import MOST_FAILURES, delay_s
from eastwest.model.realised import Realised
from eastwest.wire import http1
from eastwest.wire.client import TIMEOUT_S
from eastwest.wire.plan import realised_path
from eastwest.wire.realised import CONTENT_TYPE, to_json

log = logging.getLogger("eastwest.agent")


class Teller:
    """Inert until `start`. `say` may be called from any thread; what was said before and not sent is replaced."""

    def __init__(self, *, server: str, token: Callable[[], str], cluster: str, node: str) -> None:
        self._server = http1.server(server, TIMEOUT_S)
        self._path = f"{realised_path(node)}?{urllib.parse.urlencode({'cluster': cluster})}"
        self._token = token
        self._wake = threading.Event()
        self._lock = threading.Lock()  # guards _next
        self._next: Realised | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="realised", daemon=True)
        self.complaint = ""

    def start(self) -> None:
        """Begin telling."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was not sent is not sent."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(1.0)

    def say(self, realised: Realised) -> None:
        with self._lock:
            self._next = realised
        self._wake.set()

    def send(self, realised: Realised) -> None:
        """Say it now. Raises OSError."""
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": CONTENT_TYPE}
        response = self._server.request("POST", self._path, headers, to_json(realised))
        if response.status not in (200, 202, 204):
            text = response.body[:300].decode(errors="replace").strip()
            raise OSError(f"HTTP {response.status}: {text}" if text else f"HTTP {response.status}")

    def _run(self) -> None:
        failures = 0
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._stopping.is_set():
                return
            with self._lock:
                said, self._next = self._next, None
            if said is None:
                continue
            try:
                self.send(said)
                failures, self.complaint = 0, ""
            except (OSError, ValueError) as error:
                failures += 1
                self._failed(said, str(error))
                self._stopping.wait(delay_s(min(failures, MOST_FAILURES), None, random.random()))  # noqa: S311 - jitter

    def _failed(self, said: Realised, why: str) -> None:
        if why != self.complaint:
            log.warning("the server does not know what is in force here, will try again: %s", why)
        self.complaint = why
        with self._lock:
            self._next = self._next or said
        self._wake.set()
