"""What the traffic of a window cost."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from eastwest.api.asked import GivenCondition, GivenRange, prices_of, window_of
from eastwest.api.models.costs import Costs
from eastwest.api.parameters import By, KnownOnly
from eastwest.api.problems import RESPONSES
from eastwest.api.routes.coverage import coverage_of
from eastwest.api.services import Given
from eastwest.query.costs import answer

router = APIRouter(tags=["flows"])


@router.get("/api/v1/costs", operation_id="costs", responses=RESPONSES, dependencies=[KnownOnly])
def costs(
    services: Given,
    range_: GivenRange,
    where: GivenCondition,
    by: By = "workload",
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> Costs:
    """By category, by pair of zones and by who pays, from the server's dated price table."""
    found = answer(services.store, range_, where, services.prices, by, limit)
    missing = coverage_of(services, range_).sentences
    return Costs(window=window_of(services, range_), prices=prices_of(services), by=by, incomplete=missing, **found)
