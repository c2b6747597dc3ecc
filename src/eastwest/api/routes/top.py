"""Who moves the most."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from eastwest.api.asked import condition_of, prices_of, range_of, window_of
from eastwest.api.models.top import Top, TopRow
from eastwest.api.parameters import By, EndText, FilterText, KnownOnly, Metric, NamespaceText, StartText, WindowText
from eastwest.api.problems import RESPONSES
from eastwest.api.routes.coverage import coverage_of
from eastwest.api.services import Given
from eastwest.query.top import top as query

router = APIRouter(tags=["flows"])


@router.get("/api/v1/top", operation_id="top", responses=RESPONSES, dependencies=[KnownOnly])
def top(
    services: Given,
    by: By = "pod",
    metric: Metric = "bytes",
    namespace: NamespaceText = None,
    filter: FilterText = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    window: WindowText = None,
    start: StartText = None,
    end: EndText = None,
) -> Top:
    """Pods, workloads or namespaces by what they sent and received, each connection counted once per end, and what that end pays."""
    range_ = range_of(services, window, start, end)
    rows = query(services.store, range_, by, metric, condition_of(filter, namespace), limit, services.prices)
    return Top(
        window=window_of(services, range_),
        by=by,
        metric=metric,
        rows=[TopRow(**row) for row in rows],
        prices=prices_of(services),
        incomplete=coverage_of(services, range_).sentences,
    )
