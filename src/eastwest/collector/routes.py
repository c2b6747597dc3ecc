"""The agents' door: POST /ingest/v1/batch, and /ingest/v1/batches for several at once, each with an answer of its own. 204 means
durable; anything else means keep it (or declare it lost)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from eastwest.collector.accept import MAX_BODY_BYTES, Accepted, RefusedError, accept, accept_several, no_token
from eastwest.collector.counts import Counts
from eastwest.collector.writer import BusyError, Writer
from eastwest.runtime.tokens import bearer
from eastwest.wire import batches as wire
from eastwest.wire.batch import INGEST_PATH
from eastwest.wire.batches import BatchAnswer

log = logging.getLogger(__name__)

T = TypeVar("T")
RETRY_AFTER_S: Final = 2
ANSWER_WITHIN_S: Final = 8.0
"""Below the agents' patience: a batch that takes longer is asked for again, and recognised."""


RECEIVING_BYTES: Final = 4 * MAX_BODY_BYTES
"""Of bodies that are on their way in at once, before they are inflated."""
ACCEPTING: Final = 2
"""Bodies that are inflated and read at once, each up to MAX_BODY_BYTES."""


class _Receiving:
    """How much of all bodies is in memory. For the event loop's thread only."""

    def __init__(self) -> None:
        self._bytes = 0

    async def body(self, request: Request) -> bytes:
        """The whole body. Raises RefusedError; whoever shows no token is not read."""
        if bearer(request.headers.get("authorization")) is None:
            raise no_token()
        chunks, size = [], 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                self._bytes += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise RefusedError(413, "too_large", f"the body is longer than {MAX_BODY_BYTES} bytes")
                if self._bytes > RECEIVING_BYTES:
                    raise RefusedError(503, "busy", "too much is being received at once; send it again")
                chunks.append(chunk)
        except ClientDisconnect:
            raise RefusedError(400, "cut_short", f"the sender hung up after {size} bytes of the body") from None
        finally:
            self._bytes -= size
        return b"".join(chunks)


def ingest_router(writer: Writer, secret: bytes, counts: Counts, clock: Callable[[], int] = time.time_ns) -> APIRouter:
    """The route over one writer. Every answer is plain text for the agent's log."""
    router, receiving, accepting = APIRouter(), _Receiving(), CapacityLimiter(ACCEPTING)

    async def read(request: Request, how: Callable[[bytes, str | None, str | None, bytes, int], T]) -> T:
        body, token = await receiving.body(request), bearer(request.headers.get("authorization"))
        encoding = request.headers.get("content-encoding")
        return await to_thread.run_sync(how, body, encoding, token, secret, clock(), limiter=accepting)

    async def batch(request: Request) -> Response:
        try:
            accepted = await read(request, accept)
        except RefusedError as refused:
            refused = _believed(refused, counts.clock_trouble(clock()))
            _count(counts, refused)
            return _answer(refused.status, str(refused))
        answer = (await _keep([accepted], writer, counts))[0]
        return Response(status_code=204) if answer.status == 204 else _answer(answer.status, answer.reason)

    async def several(request: Request) -> Response:
        try:
            found = await read(request, accept_several)
        except RefusedError as refused:
            _count(counts, refused)
            return _answer(refused.status, str(refused))
        trouble = counts.clock_trouble(clock())
        found = [_believed(f, trouble) if isinstance(f, RefusedError) else f for f in found]
        answers = await _keep(found, writer, counts)
        busy = any(a.status == 503 for a in answers)
        headers = {"Retry-After": str(RETRY_AFTER_S)} if busy else {}
        return Response(wire.answers_to_json(answers), 200, headers, "application/json")

    router.add_api_route(INGEST_PATH, batch, methods=["POST"], include_in_schema=False)
    router.add_api_route(wire.PATH, several, methods=["POST"], include_in_schema=False)
    return router


def _believed(refused: RefusedError, clock_trouble: str | None) -> RefusedError:
    """A server whose own clock is wrong judges nobody's: agents keep such windows."""
    if refused.cause != "clock" or clock_trouble is None:
        return refused
    return RefusedError(503, "own_clock", f"{clock_trouble}; agents keep windows that seem to be in the future")


def _count(counts: Counts, refused: RefusedError) -> None:
    counts.refuse(refused.cause)
    if refused.status == 422:
        log.warning("batch refused: %s", refused)


async def _keep(found: Sequence[Accepted | RefusedError], writer: Writer, counts: Counts) -> list[BatchAnswer]:
    """Queue what was accepted, in order, and wait for all of it; an answer for each."""
    waiting: list[Future[None] | BatchAnswer] = []
    for one in found:
        if isinstance(one, RefusedError):
            _count(counts, one)
            waiting.append(BatchAnswer(one.status, str(one)))
            continue
        try:
            waiting.append(writer.submit(one))
        except BusyError as busy:
            counts.refuse("busy")
            waiting.append(BatchAnswer(503, str(busy)))
    futures = [asyncio.wrap_future(w) for w in waiting if isinstance(w, Future)]
    for future in futures:
        future.add_done_callback(lambda f: None if f.cancelled() else f.exception())  # also of those nobody waits for
    if futures:
        await asyncio.wait(futures, timeout=ANSWER_WITHIN_S)
    return [w if isinstance(w, BatchAnswer) else _became(w) for w in waiting]


def _became(done: Future[None]) -> BatchAnswer:
    if not done.done():
        return BatchAnswer(503, "not durable yet; send it again")
    error = done.exception()
    if error is None:
        return BatchAnswer(204)
    if isinstance(error, BusyError):
        return BatchAnswer(503, str(error))
    return BatchAnswer(500, f"{type(error).__name__}: {error}"[:500])


def _answer(status: int, text: str) -> Response:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    return Response(text + "\n", status, headers, "text/plain")
