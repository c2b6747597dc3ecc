"""The agent's end of shipping: one POST, one answer in the agent's words. Retrying is the caller's business.

`http://host:port`, `https://host` and `unix:/path/to.sock` are understood (see `http1`).
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from enum import Enum
from typing import Final

from eastwest.wire import http1
from eastwest.wire.batch import CONTENT_TYPE, INGEST_PATH

TIMEOUT_S: Final = 10.0


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


class Client:
    """Posts bodies to one server with one token. Not thread-safe: the shipping thread owns it."""

    def __init__(self, server: str, token: str, timeout_s: float = TIMEOUT_S) -> None:
        self._server = http1.server(server, timeout_s)
        self._token = token

    def post(self, body: bytes) -> Answer:
        """Send one batch; a network failure is a RETRY with the reason."""
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": CONTENT_TYPE,
            "Content-Encoding": "gzip",
        }
        try:
            response = self._server.request("POST", INGEST_PATH, headers, gzip.compress(body, compresslevel=1))
        except OSError as error:
            return Answer(Outcome.RETRY, f"{type(error).__name__}: {error}")
        text = response.body.decode(errors="replace").strip()
        return _answer(response.status, text, response.headers.get("retry-after"))


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
