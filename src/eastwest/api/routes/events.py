"""Live updates: a small event whenever new records became visible."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from eastwest.api.models import LiveEvent
from eastwest.api.parameters import KnownOnly
from eastwest.api.services import Given

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
    raise NotImplementedError
