"""How much of what happened is in the data."""

from __future__ import annotations

from fastapi import APIRouter

from eastwest.api.models import Coverage
from eastwest.api.parameters import EndText, KnownOnly, StartText, WindowText
from eastwest.api.problems import RESPONSES
from eastwest.api.services import Given

router = APIRouter(tags=["coverage"])


@router.get("/api/v1/coverage", operation_id="coverage", responses=RESPONSES, dependencies=[KnownOnly])
def coverage(services: Given, window: WindowText = None, start: StartText = None, end: EndText = None) -> Coverage:
    """The agents' books over a time range, per node and in sentences."""
    raise NotImplementedError
