"""The agent's end of shipping: one POST, an answer for each batch in the agent's words. Retrying is the caller's business.

`http://host:port`, `https://host` and `unix:/path/to.sock` are understood (see `http1`).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from eastwest.wire import batches, http1
from eastwest.wire.batch import CONTENT_TYPE, INGEST_PATH

TIMEOUT_S: Final = 10.0


class Outcome(Enum):
    """What the sender does next."""

    ACKNOWLEDGED = "acknowledged"  # durable: forget the batch
    RETRY = "retry"  # keep it, and wait at least `retry_after_s`
    FAILED = "failed"  # the server failed at this very batch: as RETRY, and send the others meanwhile
    DENIED = "denied"  # bad token: keep it, and say so loudly
    POISON = "poison"  # never accepted, however often it is sent: drop and declare
    TOO_LARGE = "too_large"  # as POISON
    ONE_BY_ONE = "one_by_one"  # several in one body are not understood, or too large: send each alone


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
        response = self._send(INGEST_PATH, CONTENT_TYPE, gzip.compress(body, compresslevel=1), 4096)
        return response if isinstance(response, Answer) else _answer(response)

    def post_several(self, bodies: Sequence[bytes]) -> list[Answer]:
        """Send several batches in one body: an answer for each, in order. ONE_BY_ONE is said of all or of none."""
        packer = zlib.compressobj(level=1, wbits=31)
        packed = b"".join([packer.compress(piece) for piece in batches.join(bodies)] + [packer.flush()])
        response = self._send(batches.PATH, batches.CONTENT_TYPE, packed, batches.REPLY_LIMIT_BYTES)
        if isinstance(response, Answer):
            return [response] * len(bodies)
        if response.status == 200:
            return _answers(response, len(bodies))
        whole = _answer(response)
        if whole.outcome is Outcome.ACKNOWLEDGED:
            whole = Answer(Outcome.RETRY, f"HTTP {response.status} without an answer for each window")
        if response.status in (404, 405, 413, 415, 422):
            whole = Answer(Outcome.ONE_BY_ONE, whole.reason)
        return [whole] * len(bodies)

    def _send(self, path: str, content_type: str, packed: bytes, reply_limit_bytes: int) -> http1.Response | Answer:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": content_type,
            "Content-Encoding": "gzip",
        }
        try:
            return self._server.request("POST", path, headers, packed, reply_limit_bytes)
        except OSError as error:
            return Answer(Outcome.RETRY, f"{type(error).__name__}: {error}")


def _answers(response: http1.Response, expected: int) -> list[Answer]:
    try:
        said = batches.answers_from_json(response.body, expected)
    except ValueError as error:
        return [Answer(Outcome.RETRY, f"the server's answer cannot be read: {error}")] * expected
    after = _seconds(response.headers.get("retry-after"))
    return [_meant(a.status, a.reason, after) for a in said]


def _answer(response: http1.Response) -> Answer:
    text = response.body.decode(errors="replace").strip()
    return _meant(response.status, text, _seconds(response.headers.get("retry-after")))


def _meant(status: int, text: str, retry_after_s: float | None) -> Answer:
    reason = f"HTTP {status}: {text[:300]}" if text else f"HTTP {status}"
    if status in (200, 204):
        return Answer(Outcome.ACKNOWLEDGED)
    if status in (401, 403):
        return Answer(Outcome.DENIED, reason)
    if status == 413:
        return Answer(Outcome.TOO_LARGE, reason)
    if status == 422:
        return Answer(Outcome.POISON, reason)
    return Answer(Outcome.FAILED if status == 500 else Outcome.RETRY, reason, retry_after_s)


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds, at most ten minutes; an HTTP date or nonsense is None."""
    if text is None or not text.strip().isdecimal():
        return None
    return min(float(text), 600.0)
