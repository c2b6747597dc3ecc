"""The thread that sends the outbox to the server, in order, until each window is answered for good: one a request as a rule,
as many as fit one when the server was away. docs/decisions/0162."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from eastwest.agent.outbox import Outbox, Shipment
from eastwest.wire.batch import frame
from eastwest.wire.batches import MAX_BATCHES
from eastwest.wire.client import Answer, Client, Outcome

log = logging.getLogger("eastwest.agent")
FIRST_DELAY_S: Final = 0.5
LAST_DELAY_S: Final = 30.0
ALONE_S: Final = 300.0
"""How long windows go one by one after a server said that it does not understand several: it may be updated meanwhile."""
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
        self._alone = False  # the next request is to find out whether the server is back
        self._alone_until = 0.0  # time.monotonic()
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
            most = 1 if self._alone or time.monotonic() < self._alone_until else MAX_BATCHES
            shipments = self._outbox.head(0.2, most)
            if shipments:
                self._send(shipments)

    def _send(self, shipments: Sequence[Shipment]) -> None:
        bodies = [frame(replace(s.header, sent_at_ns=time.time_ns()), s.records) for s in shipments]
        answers = self._post(bodies)
        if answers[0].outcome is Outcome.ONE_BY_ONE:
            log.warning("windows are sent one by one, the server does not take several: %s", answers[0].reason)
            self.outcomes[Outcome.ONE_BY_ONE.value] += 1
            self._alone_until = time.monotonic() + ALONE_S
            return
        again = [a for s, a in zip(shipments, answers, strict=True) if not self._settled(s, a)]
        if len(again) < len(answers):
            self._failures = 0  # some came through
        self.outcomes.update({a.outcome.value for a in again})
        if again:
            self._alone = all(a.outcome is not Outcome.FAILED for a in again) and len(again) == len(answers)
            self._retry(again[0])
            return
        if self.complaint:
            log.info("the server takes batches again")
        self._alone, self.complaint = False, ""

    def _post(self, bodies: Sequence[bytes]) -> list[Answer]:
        """An answer for each. A token that cannot be read or sent now may be there at the next attempt."""
        try:
            client = self._client()
            return [client.post(bodies[0])] if len(bodies) == 1 else client.post_several(bodies)
        except (OSError, ValueError) as error:
            return [Answer(Outcome.DENIED, f"the token cannot be used (see --token-file): {error}")] * len(bodies)

    def _settled(self, shipment: Shipment, answer: Answer) -> bool:
        """Whether the window needs to be sent no more."""
        if answer.outcome is Outcome.ACKNOWLEDGED:
            self.shipped += 1
            self._outbox.done(shipment)
            return True
        if answer.outcome in (Outcome.POISON, Outcome.TOO_LARGE):
            self.outcomes[answer.outcome.value] += 1
            log.error("the server will never take window %d: %s", shipment.header.seq, answer.reason)
            self._outbox.done(shipment, answer.outcome.value)
            return True
        return False

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
