"""Who moves the most."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from eastwest.api.asked import GivenCondition, GivenRange, prices_of, window_of
from eastwest.api.models.top import Top, TopRow
from eastwest.api.parameters import By, KnownOnly, Metric
from eastwest.api.problems import RESPONSES
from eastwest.api.routes.coverage import coverage_of
from eastwest.api.services import Given
from eastwest.query.top import top as query

router = APIRouter(tags=["flows"])


@router.get("/api/v1/top", operation_id="top", responses=RESPONSES, dependencies=[KnownOnly])
def top(
    services: Given,
    range_: GivenRange,
    where: GivenCondition,
    by: By = "pod",
    metric: Metric = "bytes",
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> Top:
    """Pods, workloads or namespaces by what they sent and received, each connection counted once per end, and what that end pays."""
    rows = query(services.store, range_, by, metric, where, limit, services.prices)
    return Top(
        window=window_of(services, range_),
        by=by,
        metric=metric,
        rows=[TopRow(**row) for row in rows],
        prices=prices_of(services),
        incomplete=coverage_of(services, range_).sentences,
    )
