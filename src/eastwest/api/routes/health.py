"""Is the server able to answer and to receive."""

from __future__ import annotations

from fastapi import APIRouter, Response

from eastwest.api.models import Health
from eastwest.api.services import Given

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="health", responses={503: {"model": Health}})
def health(services: Given, response: Response) -> Health:
    """200 when flows can be received and asked for, 503 with the reasons otherwise."""
    raise NotImplementedError
