"""How a range went, step by step."""

from __future__ import annotations

from fastapi import APIRouter

from eastwest.api.asked import GivenCondition, GivenRange, window_of
from eastwest.api.models.history import History, HistoryPoint
from eastwest.api.parameters import KnownOnly
from eastwest.api.problems import RESPONSES
from eastwest.api.services import Given
from eastwest.query.history import history as query

router = APIRouter(tags=["flows"])


@router.get("/api/v1/history", operation_id="history", responses=RESPONSES, dependencies=[KnownOnly])
def history(
    services: Given,
    range_: GivenRange,
    where: GivenCondition,
) -> History:
    """Traffic, TCP health and verdicts of what the filter selects, over time."""
    points = query(services.store, range_, where)
    return History(window=window_of(services, range_), points=[HistoryPoint(**point) for point in points])
