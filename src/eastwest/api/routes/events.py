"""Live updates: a small event whenever new records became visible."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from eastwest.api.models.events import LiveEvent
from eastwest.api.parameters import KnownOnly
from eastwest.api.services import Given
from eastwest.query.live import Landed, together
from eastwest.runtime.topic import Topic

QUIET_S: Final = 15.0
EVERY_S: Final = 0.5
HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

router = APIRouter(tags=["events"])


@router.get(
    "/api/v1/events",
    operation_id="events",
    response_class=StreamingResponse,
    responses={200: {"model": LiveEvent, "description": "server-sent events; `event: flows`, data is a LiveEvent"}},
    dependencies=[KnownOnly],
)
async def events(services: Given) -> StreamingResponse:
    """Server-sent events; a comment line every 15 s keeps the connection open."""
    return StreamingResponse(_stream(services.landed), media_type="text/event-stream", headers=HEADERS)


async def _stream(landed: Topic[Landed]) -> AsyncIterator[str]:
    """At most one event per EVERY_S; a comment at once and whenever nothing happened for QUIET_S."""
    async with landed.subscribe() as news:
        yield ": connected\n\n"
        while True:
            try:
                first = await asyncio.wait_for(news.get(), QUIET_S)
            except TimeoutError:
                yield ": nothing new\n\n"
                continue
            if first is None:
                return
            await asyncio.sleep(EVERY_S)
            rest = [news.get_nowait() for _ in range(news.qsize())]
            all_ = together([first, *(landed for landed in rest if landed is not None)])
            event = LiveEvent(
                window_end_ns=all_.window_end_ns, rows=all_.rows, batches=all_.batches, nodes=len(all_.nodes)
            )
            yield f"event: flows\ndata: {event.model_dump_json()}\n\n"
            if None in rest:
                return
