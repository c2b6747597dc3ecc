"""The thread that sends the outbox to the server, one parcel at a time and in order, until each is answered for good."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from eastwest.agent.outbox import Outbox, Shipment
from eastwest.wire.batch import frame
from eastwest.wire.client import Answer, Client, Outcome

log = logging.getLogger("eastwest.agent")
FIRST_DELAY_S: Final = 0.5
LAST_DELAY_S: Final = 30.0
MOST_FAILURES: Final = 4
"""Counted of those who ask for plans: after any outage they ask again within 4 s, so that what changed meanwhile is in force soon."""


def delay_s(failures: int, retry_after_s: float | None, jitter: float) -> float:
    """How long to wait after the nth failure in a row (from 1): exponential with jitter in [0, 1), at least what the
    server asked for."""
    ceiling = min(FIRST_DELAY_S * 2.0 ** min(failures - 1, 16), LAST_DELAY_S)
    return max(retry_after_s or 0.0, ceiling * (0.5 + jitter / 2))


class Shipper:
    """Inert until `start`."""

    def __init__(self, outbox: Outbox, client: Callable[[], Client]) -> None:
        self._outbox, self._client = outbox, client
        self._stop_at: float | None = None
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._failures = 0  # in a row
        self.shipped = 0
        self.outcomes: Counter[str] = Counter()  # every answer but "acknowledged", since start
        self.complaint = ""  # why the last attempt failed; empty when it did not

    def start(self) -> None:
        self._thread.start()

    def stop(self, deadline_s: float) -> None:
        """Send what is left for at most `deadline_s`, then end."""
        self._stop_at = time.monotonic() + deadline_s
        self._wake.set()
        self._thread.join(deadline_s + 1.0)
        left = len(self._outbox)
        if left and self._outbox.on_disk:
            log.info("%d windows wait on disk for the next start", left)
        elif left:
            log.warning("%d windows could not be sent before the end and are lost", left)

    def _run(self) -> None:
        while self._stop_at is None or (len(self._outbox) and time.monotonic() < self._stop_at):
            shipment = self._outbox.head(0.2)
            if shipment is not None:
                self._send(shipment)

    def _send(self, shipment: Shipment) -> None:
        header = replace(shipment.header, sent_at_ns=time.time_ns())
        answer = self._client().post(frame(header, shipment.records))
        if answer.outcome is Outcome.ACKNOWLEDGED:
            if self._failures:
                log.info("the server takes batches again")
            self._failures, self.complaint = 0, ""
            self.shipped += 1
            self._outbox.done(shipment)
            return
        self.outcomes[answer.outcome.value] += 1
        if answer.outcome in (Outcome.POISON, Outcome.TOO_LARGE):
            log.error("the server will never take window %d: %s", header.seq, answer.reason)
            self._outbox.done(shipment, answer.outcome.value)
            return
        self._retry(answer)

    def _retry(self, answer: Answer) -> None:
        self._failures += 1
        if answer.reason != self.complaint:
            level = logging.ERROR if answer.outcome is Outcome.DENIED else logging.WARNING
            log.log(level, "the server did not take a batch, will try again: %s", answer.reason)
        self.complaint = answer.reason
        pause = delay_s(self._failures, answer.retry_after_s, random.random())  # noqa: S311 - jitter
        if self._stop_at is not None:
            pause = min(pause, 0.1)
        self._wake.wait(pause)
        if self._stop_at is not None:
            self._wake.clear()
