"""The agents' door: POST /ingest/v1/batch. 204 means durable; anything else means keep it (or declare it lost)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from eastwest.collector.accept import MAX_BODY_BYTES, RefusedError, accept
from eastwest.collector.counts import Counts
from eastwest.collector.writer import BusyError, Writer
from eastwest.runtime.tokens import bearer
from eastwest.wire.batch import INGEST_PATH

log = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 8.0
"""Below the agents' patience: a batch that takes longer is asked for again, and recognised."""


def ingest_router(writer: Writer, secret: bytes, counts: Counts, clock: Callable[[], int] = time.time_ns) -> APIRouter:
    """The route over one writer. Every answer is plain text for the agent's log."""
    router = APIRouter()

    async def batch(request: Request) -> Response:
        try:
            body = await _body(request)
            encoding, token = request.headers.get("content-encoding"), bearer(request.headers.get("authorization"))
            accepted = await run_in_threadpool(accept, body, encoding, token, secret, clock())
            done = writer.submit(accepted)
        except RefusedError as refused:
            counts.refuse(refused.cause)
            if refused.status == 422:
                log.warning("batch refused: %s", refused)
            return _answer(refused.status, str(refused))
        except BusyError as busy:
            counts.refuse("busy")
            return _answer(503, str(busy), retry_after_s=2)
        return await _acknowledge(done)

    router.add_api_route(INGEST_PATH, batch, methods=["POST"], include_in_schema=False)
    return router


async def _acknowledge(done: Future[None]) -> Response:
    try:
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(done)), ANSWER_WITHIN_S)
    except TimeoutError:
        return _answer(503, "not durable yet; send it again", retry_after_s=2)
    except BusyError as busy:
        return _answer(503, str(busy), retry_after_s=2)
    except Exception as error:
        return _answer(500, f"{type(error).__name__}: {error}"[:500])
    return Response(status_code=204)


async def _body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise RefusedError(413, "too_large", f"the body is longer than {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _answer(status: int, text: str, retry_after_s: int | None = None) -> Response:
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return Response(text + "\n", status, headers, "text/plain")
