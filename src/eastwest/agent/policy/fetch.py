"""Asks the server for this node's plan and waits for the next one. A thread of its own; puts nothing in force."""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import threading
import urllib.parse
from collections.abc import Callable
from typing import Final

from eastwest.agent.shipper import MOST_FAILURES, delay_s
from eastwest.model.plan import NodePlan
from eastwest.wire import http1
from eastwest.wire.plan import LIMIT_BYTES, PlanError, plan_path
from eastwest.wire.plan_delta import read

log = logging.getLogger("eastwest.agent")
WAIT_S: Final = 25
PATIENCE_S: Final = 10.0
"""How much later than `WAIT_S` an answer may begin."""


class PlanFetcher:
    """Inert until `start`. `each` gets every new plan, in the fetcher's thread, and returns soon.

    The last plan that came is kept and its version and digest sent along, so the server answers with what changed.
    A delta that does not fit, or a damaged answer, is dropped, and the next question asks for the whole plan.
    """

    def __init__(
        self,
        each: Callable[[NodePlan], None],
        *,
        server: str,
        token: Callable[[], str],
        cluster: str,
        node: str,
        plan: NodePlan | None = None,
        wait_s: int = WAIT_S,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        """`answered` is called, in the fetcher's thread, after each answer, with or without news."""
        self._answered = answered
        self._each, self._token, self._node, self._cluster = each, token, node, cluster
        base = http1.server(server, wait_s + PATIENCE_S)
        self._server = http1.Server(base.host, lambda: self._remember(base.connect()))
        self._plan, self._wait_s = plan, wait_s
        self._whole = False  # ask for a snapshot
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # guards _open
        self._open: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="plan", daemon=True)
        self.complaint = ""  # why the last attempt failed; empty when it did not
        self.answers: dict[str, int] = {"snapshot": 0, "delta": 0, "unchanged": 0, "failed": 0}

    def start(self) -> None:
        """Begin asking."""
        self._thread.start()

    def stop(self) -> None:
        """Give up what is under way and end."""
        self._stopping.set()
        with self._lock:
            if self._open is not None:
                with contextlib.suppress(OSError):
                    self._open.shutdown(socket.SHUT_RDWR)
        self._thread.join(5.0)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def fetch(self) -> bool:
        """Ask once; True when a new plan came. Raises OSError, PlanError."""
        wait_s = 0 if self.complaint else self._wait_s  # after a failure: know at once that it is there again
        query = {"cluster": self._cluster, "wait": str(wait_s)}
        if self._plan is not None and not self._whole:
            query["have"] = f"{self._plan.version}:{self._plan.digest}"
        path = f"{plan_path(self._node)}?{urllib.parse.urlencode(query)}"
        headers = {"Authorization": f"Bearer {self._token()}"}
        response = self._server.request("GET", path, headers, reply_limit_bytes=LIMIT_BYTES)
        if response.status == 204:
            self.answers["unchanged"] += 1
            return False
        if response.status != 200:
            text = response.body[:300].decode(errors="replace").strip()
            raise OSError(f"HTTP {response.status}: {text}" if text else f"HTTP {response.status}")
        self._take(response.body)
        return True

    def _take(self, body: bytes) -> None:
        base = None if self._whole else self._plan
        try:
            plan = read(body, base)
            if plan.node != self._node:
                raise PlanError(f"the plan of node {plan.node!r} was sent to {self._node!r}")
        except PlanError:
            self._whole = True
            raise
        if self._plan is not None and (plan.version, plan.digest) == (self._plan.version, self._plan.digest):
            asked, self._whole = self._whole, False
            if not asked:  # and would do so again at once
                raise OSError(f"the server sent plan {plan.version} again, which is here")
            return
        kind = "delta" if base is not None and body[6:8] == b"\2\0" else "snapshot"
        self.answers[kind] += 1
        self._plan, self._whole = plan, False
        self._each(plan)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self.fetch()
            except Exception as error:  # whatever comes from outside, it must not stop asking
                if self._stopping.is_set():
                    return
                failures += 1
                self.answers["failed"] += 1
                if str(error) != self.complaint:
                    log.warning(
                        "no news of the plan, what is in force stays, will try again: %s",
                        error,
                        exc_info=not isinstance(error, OSError | ValueError),
                    )
                self.complaint = str(error)
                self._stopping.wait(delay_s(min(failures, MOST_FAILURES), None, random.random()))  # noqa: S311 - jitter
                continue
            if failures:
                log.info("the server answers about the plan again")
            failures, self.complaint = 0, ""
            self._answered()

    def _remember(self, connection: socket.socket) -> socket.socket:
        with self._lock:
            self._open = connection
        if self._stopping.is_set():
            connection.close()
            raise OSError("stopping")
        return connection
